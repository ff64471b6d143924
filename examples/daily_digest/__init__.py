"""A small host application: the weekday digest of a feed, posted to Discord.

`workflow` says what happens, `content` does it, `demo` shows it three times over.
"""
