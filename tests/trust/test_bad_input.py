"""Invites, folders and keys that cannot be used: the cause, the fix, and nothing destroyed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dmoa.cli import status
from dmoa.cli.main import app
from dmoa.errors import UsageError
from dmoa.node.identity import load_identity
from dmoa.node.membership import choose_network
from dmoa.node.settings import load_settings
from dmoa.trust.holder import DAY
from dmoa.trust.invite import Invite
from dmoa.trust.private import PrivateNetwork
from tests.trust.village import NOW


def files(folder: Path) -> dict[str, bytes]:
    """All that a folder holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def dmoa(*arguments: str) -> None:
    """A command, in this process."""
    app(list(arguments), standalone_mode=False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DMOA_HOME", str(tmp_path / "home"))
    for name in ("DMOA_INVITE", "DMOA_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def invited(place: Path) -> str:
    """The text of an invite for bob."""
    dmoa("network", "create", "house", "--state", str(place / "a"))
    dmoa("network", "invite", "bob", "--out", str(place / "f"), "--state", str(place / "a"))
    return (place / "f").read_text()


def test_create_invite_join_and_show(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = invited(place)
    assert (place / "f").stat().st_mode & 0o777 == 0o600
    dmoa("network", "join", str(place / "f"), "--state", str(place / "b"))
    assert (place / "b" / "network").stat().st_mode & 0o777 == 0o700
    for name in ("device.key", "network/member.json"):
        assert (place / "b" / name).stat().st_mode & 0o777 == 0o600
    capsys.readouterr()
    dmoa("network", "show", "--state", str(place / "a"), "--json")
    shown = msgspec.json.decode(capsys.readouterr().out)
    assert shown["network"] == "house"
    assert [(d["name"], d["state"]) for d in shown["devices"]][1:] == [("bob", "invited")]
    with pytest.raises(UsageError, match="USED: bob has joined by it .* ask for another"):
        dmoa("network", "join", str(place / "f"), "--state", str(place / "c"))
    assert not (place / "c").exists()
    assert text not in (place / "f").read_text()


def test_an_invite_in_the_environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="DMOA_INVITE"):
        dmoa("network", "join", "--state", str(place / "b"))
    monkeypatch.setenv("DMOA_INVITE", invited(place))
    dmoa("network", "join", "--state", str(place / "b"))
    name = PrivateNetwork(place / "b").member.name
    assert name is not None
    assert name.name == "bob"


def flipped(text: str) -> str:
    middle = len(text) // 2
    return text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: "", "is no invite"),
        (lambda text: "hello", "is no invite"),
        (lambda text: text[: len(text) // 2], "is cut off: its last line"),
        (lambda text: text.replace("\n", "\n\n").replace(text.split("\n")[3], ""), "damaged"),
        (flipped, "damaged or cut off"),
        (lambda text: text.replace(text.split("\n")[1], "%%%"), "damaged"),
    ],
)
def test_a_broken_invite(place: Path, spoil: Callable[[str], str], said: str) -> None:
    spoiled = spoil(invited(place))
    (place / "f").write_text(spoiled)
    with pytest.raises(UsageError, match=said):
        dmoa("network", "join", str(place / "f"), "--state", str(place / "b"))
    assert (place / "f").read_text() == spoiled
    assert not (place / "b").exists(), "and nothing was begun"


def again(text: str, **changes: Any) -> str:
    """An invite with other content, well formed."""
    return msgspec.structs.replace(Invite.read(text, "it"), **changes).to_text()


def test_a_forged_invite(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = invited(place)
    foreign = tmp_path_factory.mktemp("foreign")
    key = load_identity(foreign).key
    theirs = PrivateNetwork.create(foreign, key, "theirs", "eve")
    invite = theirs.invite(
        theirs.authority(None), "bob", seconds=60, days=None, addresses=["quic/192.0.2.1:1"]
    )
    cases = [
        (again(text, authority=theirs.root.certificate), "was not signed by the network"),
        (again(text, membership=invite.membership), "was not signed by the network"),
        (again(text, key=invite.key), "the key in the invite .* belongs to another"),
        (again(text, name=invite.name), "for another device"),
        (again(text, format=7), "of format 7"),
        (again(text, authority=b"junk"), "was not signed"),
    ]
    for spoiled, said in cases:
        (place / "f").write_text(spoiled)
        with pytest.raises(UsageError, match=said):
            dmoa("network", "join", str(place / "f"), "--state", str(place / "b"))


def test_an_expired_invite_and_a_clock_that_is_wrong(place: Path) -> None:
    invite = Invite.read(invited(place), "it")
    invite.check("it", NOW + DAY - 60)
    for moment in (NOW + DAY + 60, NOW + 365 * DAY):
        with pytest.raises(UsageError, match=r"ended on .* clock says .* or set the clock"):
            invite.check("it", moment)


def test_whoever_has_joined_does_not_join_or_create_again(place: Path) -> None:
    invited(place)
    before = files(place / "a")
    with pytest.raises(UsageError, match="is in network house already"):
        dmoa("network", "join", str(place / "f"), "--state", str(place / "a"))
    with pytest.raises(UsageError, match="is in network house already"):
        dmoa("network", "create", "other", "--state", str(place / "a"))
    assert files(place / "a") == before
    assert "BEGIN" in (place / "f").read_text(), "the invite still works"


def test_inviting_and_revoking_what_makes_no_sense(place: Path) -> None:
    invited(place)
    state = ["--state", str(place / "a")]
    with pytest.raises(UsageError, match="bob has been invited already; .*revoke bob"):
        dmoa("network", "invite", "bob", "--out", str(place / "g"), *state)
    with pytest.raises(UsageError, match="is there already"):
        dmoa("network", "invite", "cyd", "--out", str(place / "f"), *state)
    with pytest.raises(UsageError, match="there is no folder"):
        dmoa("network", "invite", "cyd", "--out", str(place / "no" / "g"), *state)
    with pytest.raises(UsageError, match="is no name of a device"):
        dmoa("network", "invite", "../x", "--out", str(place / "g"), *state)
    with pytest.raises(UsageError, match="eve is no device of this network; its devices are bob"):
        dmoa("network", "revoke", "eve", *state)
    dmoa("network", "revoke", "bob", *state)
    with pytest.raises(UsageError, match="bob is revoked already"):
        dmoa("network", "revoke", "bob", *state)
    dmoa("network", "invite", "bob", "--out", str(place / "g"), *state)
    with pytest.raises(UsageError, match="has joined no network"):
        dmoa("network", "revoke", "bob", "--state", str(place / "nowhere"))


def test_an_authority_with_a_passphrase_moves(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = ["--state", str(place / "a")], ["--state", str(place / "b")]
    monkeypatch.setenv("DMOA_PASSPHRASE", "first")
    invited(place)
    dmoa("network", "join", str(place / "f"), *b)
    assert b"ENCRYPTED" in (place / "a/network/authority.key").read_bytes()
    monkeypatch.setenv("DMOA_PASSPHRASE", "wrong")
    with pytest.raises(UsageError, match="give its passphrase"):
        dmoa("network", "invite", "cyd", "--out", str(place / "g"), *a)
    monkeypatch.delenv("DMOA_PASSPHRASE")
    with pytest.raises(UsageError, match="passphrase of network house is wanted"):
        dmoa("network", "invite", "cyd", "--out", str(place / "g"), *a)
    with pytest.raises(UsageError, match="key of network house is not in"):
        dmoa("network", "invite", "cyd", "--out", str(place / "g"), *b)
    (place / "pass").write_text("first\n")
    secret = ["--passphrase-file", str(place / "pass")]
    dmoa("network", "authority", "export", "--out", str(place / "k"), *a, *secret)
    assert not (place / "a/network/authority.key").exists()
    dmoa("network", "authority", "import", str(place / "k"), *b)
    dmoa("network", "invite", "cyd", "--out", str(place / "g"), *b, *secret)
    dmoa("network", "revoke", "bob", *b, *secret)
    assert len(PrivateNetwork(place / "b").revocations()) == 1


def test_a_foreign_or_broken_authority_is_not_imported(place: Path) -> None:
    invited(place)
    dmoa("network", "create", "other", "--state", str(place / "o"))
    out = ["--out", str(place / "k"), "--plain", "--keep"]
    dmoa("network", "authority", "export", *out, "--state", str(place / "o"))
    before = files(place / "a")
    with pytest.raises(UsageError, match="authority of another network"):
        dmoa("network", "authority", "import", str(place / "k"), "--state", str(place / "a"))
    (place / "k").write_text("{}")
    with pytest.raises(UsageError, match="is no exported authority"):
        dmoa("network", "authority", "import", str(place / "k"), "--state", str(place / "a"))
    assert files(place / "a") == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("member.json", b"", "is damaged or of another version"),
        ("member.json", b"{}", "is damaged or of another version"),
        ("member.json", b"[" * 10_000, "is damaged or of another version"),
        ("revoked.json", b"nonsense", "is damaged or of another version"),
        ("joined.json", b'{"a": 1}', "is damaged or of another version"),
    ],
)
def test_a_damaged_folder_is_named_and_left(
    place: Path, name: str, content: bytes, said: str
) -> None:
    invited(place)
    (place / "a/network" / name).write_bytes(content)
    before = files(place / "a")
    with pytest.raises(UsageError, match=said):
        start(place / "a")
    assert files(place / "a") == before


def start(state: Path) -> None:
    """What `dmoa up` does first."""
    settings = load_settings({"state": state, "name": "any"})
    choose_network(settings, load_identity(state), state)


def test_a_folder_of_another_version_is_named_and_left(place: Path) -> None:
    invited(place)
    path = place / "a/network/member.json"
    path.write_bytes(path.read_bytes().replace(b'"format": 1', b'"format": 2'))
    before = files(place / "a")
    with pytest.raises(UsageError, match=r"of format 2, .* install the version that made it"):
        start(place / "a")
    assert files(place / "a") == before


def test_a_folder_from_before_private_networks_still_works(place: Path) -> None:
    load_identity(place / "old")
    start(place / "old")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives away")
def test_a_folder_of_another_user_is_named_and_left(place: Path) -> None:
    invited(place)
    os.chown(place / "a", 12345, 12345)
    with pytest.raises(UsageError, match="belongs to user 12345, and this is user 0"):
        start(place / "a")
    os.chown(place / "a", 0, 0)
    os.chown(place / "a/network", 12345, 12345)
    with pytest.raises(UsageError, match="belongs to user 12345"):
        start(place / "a")


def test_a_key_that_others_can_read_is_refused(place: Path) -> None:
    invited(place)
    for name in ("device.key", "network/authority.key"):
        (place / "a" / name).chmod(0o644)
        with pytest.raises(UsageError, match=r"others than you can read the key .* chmod 600"):
            start(place / "a")
        (place / "a" / name).chmod(0o600)
    start(place / "a")


def test_a_folder_that_cannot_be_written(place: Path) -> None:
    text = invited(place)
    load_identity(place / "b")
    (place / "b" / "network").write_text("a file where a folder should be")
    with pytest.raises(UsageError, match="cannot"):
        dmoa("network", "join", str(place / "f"), "--state", str(place / "b"))
    assert (place / "f").read_text() == text, "the invite still works"


def test_a_device_key_that_was_replaced(place: Path) -> None:
    invited(place)
    (place / "a/device.key").unlink()
    with pytest.raises(UsageError, match=r"is of another device: device\.key beside it"):
        start(place / "a")


def test_open_and_private_do_not_mix(place: Path) -> None:
    invited(place)
    settings = load_settings({"state": place / "a", "open": True})
    with pytest.raises(UsageError, match="leave --open out"):
        choose_network(settings, load_identity(place / "a"), place / "a")


def test_a_private_network_may_leave_the_machine_and_a_personal_one_may_not(place: Path) -> None:
    invited(place)
    away = {"listen": ["192.0.2.1:7447"], "connect": ["192.0.2.2:7447"]}
    joined = load_settings({"state": place / "a", **away})
    assert choose_network(joined, load_identity(place / "a"), place / "a").kind == "private"
    alone = load_settings({"state": place / "p", **away})
    with pytest.raises(UsageError, match="--open"):
        choose_network(alone, load_identity(place / "p"), place / "p")


def test_every_status_says_which_network_it_is_and_that_an_open_one_is_open(place: Path) -> None:
    invited(place)
    said = {}
    for state, public in (("a", False), ("o", True), ("p", False)):
        settings = load_settings({"state": place / state, "open": public})
        found = choose_network(settings, load_identity(place / state), place / state).status()
        assert found.public == public
        said[found.kind] = status._network(msgspec.to_builtins(found))
    assert "private network" in said["private"]
    assert "house" in said["private"]
    assert "anybody may join, ask and read" in said["open"]
    assert said["personal"] == "this user's devices on this machine"


def test_a_member_needs_no_authority_to_run(place: Path) -> None:
    invited(place)
    PrivateNetwork(place / "a").give_up_authority()
    start(place / "a")
    assert isinstance(load_identity(place / "a").key, Ed25519PrivateKey)
