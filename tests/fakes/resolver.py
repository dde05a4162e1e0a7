"""A resolver that is a map of records, with lists of names that fail or are secure."""

from dataclasses import dataclass, field

from columba.common.dns.resolver import Answer, Record, RecordType, Status

Question = tuple[str, RecordType]


@dataclass
class FakeResolver:
    """Answers from `records`; a name without any record does not exist.

    `fail` lists names (or single questions) that answer SERVFAIL, `silent` those that time out,
    `secure` those whose answers were validated. `asked` holds every question, in order.
    """

    records: dict[Question, tuple[Record, ...]] = field(default_factory=dict)
    fail: frozenset[str | Question] = frozenset()
    silent: frozenset[str | Question] = frozenset()
    secure: frozenset[str | Question] = frozenset()
    ttl_s: int = 300
    asked: list[Question] = field(default_factory=list)

    async def query(self, name: str, kind: RecordType, deadline_ns: int) -> Answer:
        """Answer at once, whatever the deadline."""
        assert deadline_ns > 0
        question = (name.lower().rstrip("."), kind)
        self.asked.append(question)
        if _listed(question, self.silent):
            return Answer(Status.TIMEOUT, name=name, reason="silent")
        if _listed(question, self.fail):
            return Answer(Status.FAILED, name=name, reason="SERVFAIL")
        secure = _listed(question, self.secure)
        found = self.records.get(question, ())
        if found:
            return Answer(Status.FOUND, found, secure, self.ttl_s, question[0])
        exists = any(known == question[0] for known, _ in self.records)
        status = Status.NO_DATA if exists else Status.NO_NAME
        return Answer(status, (), secure, self.ttl_s, question[0])


def _listed(question: Question, names: frozenset[str | Question]) -> bool:
    return question in names or question[0] in names
