"""Which traces are kept. Imported only where something is recorded: the SDK costs 4 MiB."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

# W3C asks for randomness in the last seven bytes only, and a UUID's version and variant, which
# stand in the gateway's ids, are before them. (The SDK's own sampler takes eight.)
_RANDOM_BITS = (1 << 56) - 1


class Share(Sampler):
    """Keeps a share of all traces, chosen by their ids, so that every service chooses the same.

    A batch that begins a trace of its own and links to members is kept when one of them is.
    """

    def __init__(self, share: float) -> None:
        """`share` is from 0 to 1; anything else raises ValueError."""
        if not 0 <= share <= 1:
            raise ValueError("a share is from 0 to 1")
        self._share = share
        self._bound = round(share * (_RANDOM_BITS + 1))

    def should_sample(  # noqa: PLR0917 - the interface's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """As the interface says. Pure."""
        kept = self.keeps(trace_id) or any(link.context.trace_flags.sampled for link in links or ())
        if kept:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return SamplingResult(Decision.DROP)

    def keeps(self, trace_id: int) -> bool:
        """Whether a trace is among the share."""
        return trace_id & _RANDOM_BITS < self._bound

    def get_description(self) -> str:
        """As the interface says."""
        return f"Share{{{self._share}}}"


def sampler(share: Share) -> ParentBased:
    """What the caller samples is sampled; what it leaves open (flags 00) is decided by the share.

    The gateway leaves it open: it names the trace, and the first service decides.
    """
    return ParentBased(root=share, remote_parent_not_sampled=share)
