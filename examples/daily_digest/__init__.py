"""A small host application: the weekday digest of a feed, posted to Discord.

`workflow` says what happens, `content` does it, `application` runs it, `demo` shows it.
"""
