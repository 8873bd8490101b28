"""`dmoa network`: make a private network, invite devices to it, join one, remove a device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dmoa.trust.authority import Authority
    from dmoa.trust.private import PrivateNetwork

network = typer.Typer(
    help="Make a private network, invite devices, join one, remove one.", no_args_is_help=True
)
moving = typer.Typer(help="Move the authority's key to another device.", no_args_is_help=True)
network.add_typer(moving, name="authority")

State = Annotated[
    Path | None,
    typer.Option(help="State folder of the device; by default that of `dmoa up`, or DMOA_STATE."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        help="A file with the passphrase of the authority's key; otherwise DMOA_PASSPHRASE, or it"
        " is asked for."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@network.command()
def create(
    name: Annotated[str, typer.Argument(help="What you call the network.")],
    state: State = None,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt the authority's key by a passphrase.")
    ] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a private network; this device is its first and may invite others."""
    from dmoa.cli.output import say
    from dmoa.node.identity import load_identity
    from dmoa.trust.private import PrivateNetwork

    _require_name(name, "network")
    folder, device = _place(state)
    secret = _passphrase(passphrase_file)
    if encrypt and secret is None:
        secret = _ask("a new passphrase", twice=True)
    key = load_identity(folder).key
    made = PrivateNetwork.create(folder, key, name, device, secret)
    say(f"network {name} is made; its authority's key is in {made.folder}: keep a copy of it")
    say(f"next: dmoa network invite DEVICE --out FILE --state {folder}")


@network.command()
def invite(
    device: Annotated[str, typer.Argument(help="Name of the device to invite.")],
    out: Annotated[Path, typer.Option(help="File for the invite; - for stdout.")],
    state: State = None,
    hours: Annotated[
        float, typer.Option(min=0.0, max=24 * 90, help="Hours within which it must join.")
    ] = 24.0,
    days: Annotated[
        float | None, typer.Option(min=0.0, max=36500, help="Days that it may stay; for ever.")
    ] = None,
    address: Annotated[
        list[str] | None,
        typer.Option(help="Where a member listens; by default where this device did last."),
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Invite one device by one file, which works once."""
    from dmoa.cli.output import say
    from dmoa.errors import UsageError
    from dmoa.network.addresses import link_address
    from dmoa.trust.files import write_private

    _require_name(device, "device")
    addresses = [link_address(text) for text in address or []]
    joined = _open(state)
    if str(out) != "-" and out.exists():
        raise UsageError(f"{out} is there already; name another file")
    if str(out) != "-" and not out.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {out.absolute().parent} for {out.name}")
    authority = _authority(joined, passphrase_file)
    made = joined.invite(authority, device, seconds=hours * 3600, days=days, addresses=addresses)
    if str(out) == "-":
        typer.echo(made.to_text(), nl=False)
    else:
        try:
            write_private(out, made.to_text().encode())
        except OSError as error:
            joined.revoke(authority, device)
            raise UsageError(f"cannot write {out}: {error.strerror or error}") from None
    say(f"the invite is a secret: whoever joins by it first, within {hours:g} hours, is {device}")
    if not made.addresses:
        say(
            "note: this device has not run yet, so the invite says no address; the other one will"
            " need --connect HOST:PORT, or invite with --address"
        )


@network.command()
def join(
    file: Annotated[
        str | None,
        typer.Argument(help="The invite; - for stdin. Without it, DMOA_INVITE holds its text."),
    ] = None,
    state: State = None,
) -> None:
    """Join a network by an invite."""
    import os
    import sys
    import time

    from dmoa.cli.output import say
    from dmoa.errors import UsageError
    from dmoa.node.identity import load_identity
    from dmoa.trust.files import write_private
    from dmoa.trust.invite import LARGEST_BYTES, Invite, used
    from dmoa.trust.private import PrivateNetwork

    path: Path | None = None
    if file is None:
        where, text = "in DMOA_INVITE", os.environ.get("DMOA_INVITE", "")
        if not text:
            raise UsageError("which invite? Name its file, or put its text into DMOA_INVITE")
    elif file == "-":
        where, text = "on stdin", sys.stdin.read(LARGEST_BYTES)
    else:
        where, path = file, Path(file)
        try:
            with path.open("rb") as opened:
                text = opened.read(LARGEST_BYTES).decode(errors="replace")
        except OSError as error:
            raise UsageError(f"cannot read the invite {file}: {error.strerror or error}") from None
    asked = Invite.read(text, where)
    asked.check(where)
    folder, _ = _place(state)
    load_identity(folder)
    joined = PrivateNetwork.join(folder, asked, where)
    name = asked.name.name
    if path is not None:
        try:
            write_private(path, used(name, time.time()).encode())
        except OSError:
            say(f"note: {path} cannot be changed; delete it, it works no more")
    say(f"this device is {name} in network {joined.member.network}; start it by dmoa up"
        f" --state {folder}")  # fmt: skip


@network.command()
def revoke(
    device: Annotated[
        str, typer.Argument(help="Name of the device, or the beginning of its serial number.")
    ],
    state: State = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Remove a device, or take an invite back; members refuse it within seconds."""
    from dmoa.cli.output import say

    joined = _open(state)
    count = joined.revoke(_authority(joined, passphrase_file), device)
    say(f"{device} is revoked ({count} membership{'s' if count > 1 else ''});"
        " it is told to all members by this device, as long as it runs")  # fmt: skip


@network.command()
def show(state: State = None, json: Json = False) -> None:
    """Show the network, and its devices where the authority's key is."""
    from dmoa.cli.output import print_json, say, stdout

    found = _describe(_open(state))
    if json:
        print_json(found)
        return
    from rich.markup import escape
    from rich.table import Table

    from dmoa.text import printable

    table = Table("device", "state", "joins before", "stays until", "serial")
    for row in found["devices"]:
        table.add_row(
            f"[bold]{escape(printable(row['name']))}[/]",
            row["state"],
            row["join_before"] or "–",
            row["ends"] or "for ever",
            row["serial"][:12],
        )
    say(f"network {found['network']} ({found['id']}), {found['revoked']} revoked")
    if found["authority"]:
        stdout().print(table)
    else:
        say("all devices are listed where the authority's key is; dmoa status shows who is there")


@moving.command("export")
def export_authority(
    out: Annotated[Path, typer.Option(help="File for it.")],
    state: State = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the key here, too.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Do not encrypt the file.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write the authority's key into a file, encrypted, and remove it from here."""
    from dmoa.cli.output import say
    from dmoa.errors import UsageError
    from dmoa.trust.files import write_private

    joined = _open(state)
    if out.exists():
        raise UsageError(f"{out} is there already; name another file")
    authority = _authority(joined, passphrase_file)
    secret = None
    if not plain:
        asked = "a passphrase for the file"
        secret = _passphrase(passphrase_file) or _ask(asked, twice=True)
    try:
        write_private(out, joined.export(authority, secret))
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror or error}") from None
    if not keep:
        joined.give_up_authority()
    say(f"the authority of {joined.member.network} is in {out}; on the other device:"
        f" dmoa network authority import {out}")  # fmt: skip


@moving.command("import")
def import_authority(
    file: Annotated[Path, typer.Argument(help="What export has written.")], state: State = None
) -> None:
    """Take the authority's key over; this device must be in the network."""
    from dmoa.cli.output import say
    from dmoa.errors import UsageError

    joined = _open(state)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}") from None
    joined.take_authority(content, str(file))
    say(f"this device may invite and revoke in {joined.member.network} now; delete {file}")


def _describe(joined: "PrivateNetwork") -> dict[str, Any]:
    import time

    from dmoa.trust.membership import FOREVER
    from dmoa.trust.register import shown

    now = time.time()
    revoked = {r.serial for r in joined.revocations()}
    bound = joined.joined()

    def state_of(serial: str, join_before: int, ends: int) -> str:
        if serial in revoked:
            return "revoked"
        if ends <= now:
            return "ended"
        if not join_before or serial in bound:
            return "member"
        return "invited" if join_before > now else "not seen joining"

    return {
        "network": joined.member.network,
        "id": joined.root.fingerprint,
        "device": joined.member.name.name if joined.member.name else None,
        "serial": joined.membership.serial,
        "authority": joined.has_authority,
        "encrypted": joined.has_authority and joined.is_encrypted,
        "revoked": len(revoked),
        "devices": [
            {
                "name": row.name,
                "serial": row.serial,
                "state": state_of(row.serial, row.join_before, row.ends),
                "join_before": shown(row.join_before) if row.join_before else None,
                "ends": None if row.ends == FOREVER else shown(row.ends),
            }
            for row in joined.issued()
        ],
    }


def _place(state: Path | None) -> tuple[Path, str]:
    """The state folder, and the name that the device has without another."""
    from dmoa.folders import state_folder
    from dmoa.node.settings import load_settings

    settings = load_settings({"state": state})
    return settings.state or state_folder(settings.name), settings.name


def _open(state: Path | None) -> "PrivateNetwork":
    from dmoa.trust.private import PrivateNetwork

    return PrivateNetwork(_place(state)[0])


def _authority(joined: "PrivateNetwork", passphrase_file: Path | None) -> "Authority":
    secret = None
    if joined.has_authority and joined.is_encrypted:
        asked = f"passphrase of network {joined.member.network}"
        secret = _passphrase(passphrase_file) or _ask(asked)
    return joined.authority(secret)


def _passphrase(file: Path | None) -> bytes | None:
    """From a file or the environment, never from an argument, which others can see."""
    import os

    from dmoa.errors import UsageError

    if file is not None:
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the passphrase file {file}: {error}") from None
        if not text:
            raise UsageError(f"the passphrase file {file} is empty")
        return text.encode()
    text = os.environ.get("DMOA_PASSPHRASE", "")
    return text.encode() or None


def _ask(asked: str, *, twice: bool = False) -> bytes:
    import sys

    from dmoa.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"{asked} is wanted; give it by --passphrase-file or DMOA_PASSPHRASE")
    text: str = typer.prompt(asked, hide_input=True, confirmation_prompt=twice, err=True)
    return text.encode()


def _require_name(name: str, what: str) -> None:
    import re

    from dmoa.errors import UsageError
    from dmoa.policies.limits import LIMITS

    if not re.fullmatch(rf"\w[\w. -]{{0,{LIMITS.name_characters - 1}}}", name):
        raise UsageError(
            f"{name!r} is no name of a {what}: letters, digits, spaces, dots and hyphens, at most"
            f" {LIMITS.name_characters}"
        )
