from uuid import uuid4

from squid_mesh.runtime.driving import Driving


def test_a_driver_holds_the_steps_of_its_run_until_it_ends() -> None:
    driving, run, other = Driving(), uuid4(), uuid4()
    with driving.of(run, "a") as holding:
        holding.steps = ("a", "b")
        assert driving.steps == [(run, "a"), (run, "b")]
        assert (run, "b") in driving
        assert (run, "c") not in driving
        assert (other, "a") not in driving
    assert driving.steps == []
    assert (run, "a") not in driving


def test_a_driver_that_takes_along_what_is_ready_holds_all_of_its_run() -> None:
    driving, run, other = Driving(), uuid4(), uuid4()
    with driving.of(run, "a") as holding:
        holding.takes = True
        assert driving.steps == [(run, None)]
        assert (run, "anything") in driving
        assert (other, "a") not in driving
