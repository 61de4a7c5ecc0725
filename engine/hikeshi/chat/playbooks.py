"""The playbooks by which chat is told something: runs like all others, so each is journaled, tried again and seen.

Their action names one connector. Its name comes from hikeshi.yaml, where only letters, digits, '_' and '-' are taken.
"""

from __future__ import annotations

__all__ = ["ANNOUNCE", "CONCLUDE", "REPLY", "announcing", "concluding", "replying"]

ANNOUNCE, CONCLUDE, REPLY = "announce-approval", "conclude-approval", "reply-in-chat"

# Half an hour: whoever is asked may still answer elsewhere, and a chat server that is away for longer is noticed.
_RETRY = "{attempts: 12, wait: 5s, factor: 2, max_wait: 5m}"

_ANNOUNCE = """\
id: announce-approval
name: Ask for an approval in a channel
inputs:
  channel: {type: string}
  question: {type: string}
  run: {type: string}
  path: {type: string}
  digest: {type: string}
  due_at: {type: string}
  facts: {type: list, items: {type: string}}
  targets: {type: list, items: {type: string}}
  more_targets: {type: integer}
  link: {type: string}
steps:
  - id: ask
    action: CONNECTOR.ask
    retry: RETRY
    with:
      channel: "{{ inputs.channel }}"
      question: "{{ inputs.question }}"
      run: "{{ inputs.run }}"
      path: "{{ inputs.path }}"
      digest: "{{ inputs.digest }}"
      due_at: "{{ inputs.due_at }}"
      facts: "{{ inputs.facts }}"
      targets: "{{ inputs.targets }}"
      more_targets: "{{ inputs.more_targets }}"
      link: "{{ inputs.link }}"
outputs:
  message: "{{ steps.ask[0].output.id }}"
"""

_CONCLUDE = """\
id: conclude-approval
name: Say in a channel how an approval ended
inputs:
  message: {type: string}
  question: {type: string}
  outcome: {type: string}
  link: {type: string}
steps:
  - id: conclude
    action: CONNECTOR.conclude
    retry: RETRY
    with:
      message: "{{ inputs.message }}"
      question: "{{ inputs.question }}"
      outcome: "{{ inputs.outcome }}"
      link: "{{ inputs.link }}"
"""

_REPLY = """\
id: reply-in-chat
name: Tell somebody what became of their answer
inputs:
  channel: {type: string}
  thread: {type: string}
  text: {type: string}
steps:
  - id: reply
    action: CONNECTOR.post
    retry: RETRY
    with: {channel: "{{ inputs.channel }}", thread: "{{ inputs.thread }}", text: "{{ inputs.text }}"}
"""


def announcing(connector: str) -> str:
    """Return the playbook that asks in a channel of a connector."""
    return _of(_ANNOUNCE, connector)


def concluding(connector: str) -> str:
    """Return the playbook that says in such a message how it ended."""
    return _of(_CONCLUDE, connector)


def replying(connector: str) -> str:
    """Return the playbook that answers in a thread."""
    return _of(_REPLY, connector)


def _of(text: str, connector: str) -> str:
    return text.replace("CONNECTOR", connector).replace("RETRY", _RETRY)
