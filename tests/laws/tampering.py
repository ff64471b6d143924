"""What may befall Oban's jobs: anything. Run state never depends on them."""

from __future__ import annotations

TAMPERING = {
    "deleted": "delete from oban_jobs where id = any(%s)",
    "delivered twice": """
        insert into oban_jobs (queue, worker, args, max_attempts)
        select queue, worker, args, max_attempts from oban_jobs where id = any(%s) limit 200""",
    "moved early": """
        update oban_jobs set scheduled_at = timezone('UTC', now()) - interval '1 hour'
        where id = any(%s) and state in ('available', 'scheduled', 'retryable')""",
    "moved late": """
        update oban_jobs
        set state = 'scheduled', scheduled_at = timezone('UTC', now()) + interval '1 hour'
        where id = any(%s) and state in ('available', 'scheduled', 'retryable')""",
    "failed": """
        update oban_jobs
        set state = 'retryable', scheduled_at = timezone('UTC', now()) + interval '1 hour'
        where id = any(%s) and state in ('available', 'scheduled', 'retryable')""",
    "cancelled": """
        update oban_jobs set state = 'cancelled', cancelled_at = timezone('UTC', now())
        where id = any(%s)""",
    "discarded": """
        update oban_jobs set state = 'discarded', discarded_at = timezone('UTC', now())
        where id = any(%s)""",
    "completed": """
        update oban_jobs set state = 'completed', completed_at = timezone('UTC', now())
        where id = any(%s)""",
}
"""By name, what is done to the jobs of some ids."""

SHARE = "select id from oban_jobs where random() < %s for update skip locked"
"""Oban acknowledges several jobs in a transaction: whoever waits for them may deadlock with it."""
