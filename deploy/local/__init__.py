"""The whole of Rookery on one machine: `python -m deploy.local up`.

`home` is where its data lives, `ports` which ports it takes, `stack` what it consists of,
`supervisor` how it is started, watched and stopped, `demo` what is in it, `console` what is said.
"""
