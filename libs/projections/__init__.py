"""The way in: events from topics become rows, once each, in order.

`reader` says what a projection and a reactor are, `runner` runs them, `checkpoints` and
`dead_letters` are their tables, `schema` creates those.
"""
