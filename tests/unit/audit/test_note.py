"""Signed notes: published ones, byte for byte, and every way in which one is not to be believed."""

import base64

import pytest

from hikeshi.audit.errors import KeyNotUsable, NoteError, NotSigned
from hikeshi.audit.note import SignerKey, VerifierKey, new_signer, open_note, read_note, sign_note
from hikeshi.audit.tree_head import TreeHead

# The example of golang.org/x/mod/sumdb/note, which the specification is written after.
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    f"{GO_TEXT}\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6"
    "RyyBwJnAM=\n"
)
# The example of c2sp.org/signed-note ("Verifier keys").
SPEC_PUBLIC = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# The example of c2sp.org/tlog-checkpoint.
CHECKPOINT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_the_published_note_is_signed_byte_for_byte() -> None:
    """Ed25519 has no chance in it: the same key and text give the same note."""
    signer = SignerKey.parse(GO_PRIVATE, "here")

    assert sign_note(GO_TEXT, signer) == GO_NOTE
    assert str(signer.verifier) == GO_PUBLIC
    assert signer.private_text == GO_PRIVATE


@pytest.mark.parametrize(
    ("public", "note", "text"),
    [(GO_PUBLIC, GO_NOTE, GO_TEXT), (SPEC_PUBLIC, SPEC_NOTE, "This is an example message.\n")],
)
def test_published_notes_are_believed(public: str, note: str, text: str) -> None:
    """Of other programs."""
    key = VerifierKey.parse(public, "here")

    assert open_note(note, [key], "here") == (text, (key,))


def test_the_published_checkpoint_is_read_and_written() -> None:
    """Origin, size and root are three lines."""
    head = TreeHead.parse(CHECKPOINT, "here")

    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert head.text == CHECKPOINT
    assert TreeHead.parse(CHECKPOINT + "an extension\n", "here") == head


@pytest.mark.parametrize(
    "text",
    [
        "origin\n1\n",
        "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n٣\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2==\n",
        "origin\n1\n!!!\n",
        "origin\n1\nCsUYapGGPo4dkMgIAUqom/!Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\nan extension\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    """Its three lines have one form."""
    with pytest.raises(NoteError, match="not a checkpoint"):
        TreeHead.parse(text, "here")


def test_several_keys_sign_one_note() -> None:
    """A change of keys is signed by both; signatures of strangers are passed over."""
    old, new, stranger = new_signer("log"), new_signer("log"), new_signer("log")
    note = sign_note("text\n\nwith an empty line\n", old, new)

    assert open_note(note, [old.verifier], "here")[1] == (old.verifier,)
    assert set(open_note(note, [old.verifier, new.verifier, stranger.verifier], "here")[1]) == {
        old.verifier,
        new.verifier,
    }
    with pytest.raises(NotSigned, match="No known key"):
        open_note(note, [stranger.verifier], "here")


def test_a_changed_text_is_not_believed() -> None:
    """Nor a signature of which one bit is another."""
    key = VerifierKey.parse(GO_PUBLIC, "here")
    line = GO_NOTE.splitlines()[-1].split()[-1]
    raw = bytearray(base64.b64decode(line))
    raw[20] ^= 1

    for wrong in (GO_NOTE.replace("answer", "reason"), GO_NOTE.replace(line, base64.b64encode(raw).decode())):
        with pytest.raises(NoteError, match="does not fit"):
            open_note(wrong, [key], "here")


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        GO_TEXT + GO_NOTE.splitlines()[-1] + "\n",
        GO_NOTE.removesuffix("\n"),
        GO_NOTE.replace("\u2014", "-"),
        GO_NOTE.replace("=\n", "\n"),
        GO_NOTE.replace("JnAM=", "JnAN="),
        GO_NOTE.replace("think", "th\x00nk"),
        GO_NOTE + "\u2014 PeterNeumann !\n",
        GO_NOTE + "\u2014 PeterNeumann x08gow==\n",
        GO_TEXT + "\n" + GO_NOTE.splitlines()[-1] * 1 + "\n" + (GO_NOTE.splitlines()[-1] + "\n") * 100,
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    """In each of its parts."""
    with pytest.raises(NoteError, match="not a signed note"):
        read_note(note, "here")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no key"),
        (GO_PRIVATE, "private key"),
        (GO_PUBLIC.replace("c74f20a3", "c74f20a4"), "do not belong together"),
        (GO_PUBLIC[:-4], "no key"),
        (GO_PUBLIC.replace("PeterNeumann", "Peter Neumann"), "no key"),
        (GO_PUBLIC.replace("PeterNeumann", "PeterNeuman"), "do not belong together"),
    ],
)
def test_a_line_that_is_no_public_key_is_refused(text: str, says: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(KeyNotUsable, match=says):
        VerifierKey.parse(text, "here")


def test_a_private_key_does_not_show_itself() -> None:
    """Neither in logs nor in the error about a damaged file."""
    signer = SignerKey.parse(GO_PRIVATE, "here")
    secret = GO_PRIVATE.split("+")[-1]

    assert secret not in repr(signer)
    with pytest.raises(KeyNotUsable) as error:
        SignerKey.parse(GO_PRIVATE.replace("c74f20a3", "c74f20a4"), "here")
    assert secret not in str(error.value)


def test_a_note_has_at_most_a_hundred_signatures() -> None:
    """Each costs time to check; the hundredth still counts."""
    signer = SignerKey.parse(GO_PRIVATE, "here")
    hundred = sign_note(GO_TEXT, *(new_signer("other") for _ in range(99)), signer)

    assert open_note(hundred, [signer.verifier], "here")[1] == (signer.verifier,)
    with pytest.raises(NoteError, match="more than 100 signatures"):
        read_note(f"{hundred}{GO_NOTE.splitlines()[-1]}\n", "here")


def test_a_note_has_at_most_a_megabyte() -> None:
    """It is kept in memory as a whole."""
    signature = f"\n{GO_NOTE.splitlines()[-1]}\n"
    text = "x" * (1024 * 1024 - len(signature) - 1) + "\n"

    assert read_note(text + signature, "here").text == text
    with pytest.raises(NoteError, match="too large"):
        read_note("x" + text + signature, "here")


@pytest.mark.parametrize("text", ["", "text", "te\x00xt\n", "te\txt\n", "text\r\n"])
def test_a_text_that_no_reader_would_take_is_not_signed(text: str) -> None:
    """It ends with a line break, and has no other sign that is not seen."""
    with pytest.raises(NoteError, match="ends with a line break and has no control characters"):
        sign_note(text, new_signer("log"))


def test_a_log_may_have_any_name_of_one_word() -> None:
    """Also one with which a private key begins."""
    for name in ("PRIVATE", "KEY", "example.com/log", "ログ"):
        key = new_signer(name).verifier
        assert VerifierKey.parse(str(key), "here") == key
