"""The four platforms, faked faithfully over HTTP.

One web application answers as Instagram, TikTok, LinkedIn and X under path prefixes, sends their
signed webhooks, and obeys a control API under `/_control`. Wire facts: docs of each platform as
gathered in the project's platform notes; section numbers in docstrings refer to those notes.
"""
