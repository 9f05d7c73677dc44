"""The four platforms, faked faithfully over HTTP.

One web application answers as Instagram, TikTok, LinkedIn and X under path prefixes, sends their
signed webhooks, and obeys a control API under `/_control` (see README.md). Section numbers in
docstrings are those of the project's notes on the platforms' protocols.
"""
