"""A device's settings: from a TOML file, the environment, and flags, each over the one before.

The file is `dmoa.toml` in the working folder, or what `DMOA_CONFIG` names; its keys are the
names below. In the environment they are `DMOA_NAME`, `DMOA_LISTEN`, and so on.
"""

import os
import socket
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from dmoa.device.queue import Discipline
from dmoa.errors import UsageError
from dmoa.policies.law import LEAST_PATIENCE, MOST_PATIENCE, PATIENCE
from dmoa.policies.limits import DEFAULTS, LIMITS, heartbeat
from dmoa.protocol.aggregation import Aggregation, Method
from dmoa.protocol.layer import LayerPolicy
from dmoa.standings.schedule import Budget


def _config_file() -> Path:
    return Path(os.environ.get("DMOA_CONFIG", "dmoa.toml"))


class Settings(BaseSettings):
    """What a device can be told; `docs/settings.md` is made of the words below each name."""

    model_config = SettingsConfigDict(
        env_prefix="DMOA_", extra="forbid", use_attribute_docstrings=True
    )

    name: str = Field(
        default_factory=lambda: (
            socket.gethostname().partition(".")[0][: LIMITS.name_characters] or "device"
        ),
        pattern=rf"^\w[\w. -]{{0,{LIMITS.name_characters - 1}}}$",
    )
    """What people call the device; by default this machine's name."""
    state: Path | None = None
    """The folder of its identity and known devices; by default one a name, in the user's data."""
    listen: list[str] = []
    """Addresses where other devices reach this one, like `192.168.1.20:7447`, or
    `tcp/127.0.0.1:7447` on this machine; by default a free local port."""
    connect: list[str] = []
    """Addresses of known devices; one is enough."""
    open: bool = False
    """Join a network whose authority is public: devices of other machines are let in, without
    protection."""
    multicast: bool = False
    """Find devices of the local network."""
    api: str = "127.0.0.1:8765"
    """Host and port of the HTTP API."""
    api_key_file: Path | None = None
    """A file with the keys that clients must show, one a line."""
    api_key: SecretStr | None = None
    """One such key."""
    api_origins: list[str] = []
    """Sites whose pages may use the API from a browser, like `http://localhost:3000`; `*` for all.
    By default no page may: any that is open could spend the network's LLMs."""
    api_hosts: list[str] = []
    """Names beside `localhost` and this machine's own by which clients without a key call it."""
    llm: str | None = None
    """`smollm2`, `pocket:NAME`, a path or `hf:` name of a GGUF file, or `openai:URL#MODEL` (its key
    in `DMOA_LLM_KEY`); by default a server that runs on this machine."""
    llm_wait_seconds: float = Field(45.0, ge=0)
    """Seconds that a server which does not answer yet is waited for when the device starts."""
    context: int | None = Field(None, ge=128)
    """Tokens of the context window, when the LLM's own is not wanted."""
    threads: int | None = Field(None, ge=1)
    """Processor threads of a model in this process."""
    slots: int = Field(DEFAULTS.slots, ge=1)
    """Inferences at once; raise it for servers that batch."""
    layers: int | None = Field(None, ge=0, le=LIMITS.layers)
    """M of the model `dmoa`; without a wish it is decided by what examinations find."""
    proposers: int = Field(3, ge=0, le=LIMITS.proposers)
    """k of the model `dmoa`: other devices in each layer."""
    aggregation: Method = "synthesise"
    """How the model `dmoa` makes an answer of drafts: `synthesise`, `select` or `vote`."""
    aggregator: str = "own"
    """Name of the device that writes the answers; by default this one, as while another is away."""
    draft_tokens: int | None = Field(None, ge=1)
    """Longest draft, where drafts may be shorter or longer than answers."""
    background: bool = True
    """Let the own LLM alone do what chat programs ask for themselves: titles, tags, follow-ups."""
    early_stop: bool = False
    """Ask no further layer when the drafts of one agree."""
    fallback: bool = False
    """Answer alone while others' drafts are hardly ever better."""
    local_only: bool = False
    """Let no prompt leave this device: its own LLM answers alone, whatever a client asks for."""
    exams: bool = True
    """Examine this device's LLM and the others', in idle time, to know whom to ask."""
    exam_share: float = Field(Budget().share, ge=0, le=1)
    """Share of a device's time that examinations may take, those of all devices together."""
    exam_daily: int = Field(Budget().per_day, ge=0)
    """Questions that this device may ask each device in a day."""
    exam_gap: float = Field(Budget().gap, gt=0)
    """Mean seconds between two questions of this device."""
    deadline: float = Field(LayerPolicy.deadline, gt=0)
    """Seconds after which a layer ends with the drafts that are there."""
    quorum: float = Field(LayerPolicy.quorum, ge=0, le=1)
    """Share of a layer's drafts that is enough, `grace` seconds after it is there."""
    grace: float = Field(LayerPolicy.grace, ge=0)
    """Seconds that a layer waits for the rest after its quorum."""
    prompt_deadline: float = Field(DEFAULTS.prompt_deadline, gt=0)
    """Seconds after which a prompt is given up."""
    first_token_seconds: float = Field(DEFAULTS.first_token_seconds, gt=0)
    """Seconds that an LLM may take to begin its answer, beside reading its prompt."""
    stall_seconds: float = Field(DEFAULTS.stall_seconds, gt=0)
    """An LLM that has begun and says nothing for so many seconds has failed."""
    silence_seconds: float = Field(DEFAULTS.silence_seconds, gt=0)
    """A peer that says nothing for so many seconds is hung."""
    drain_seconds: float = Field(30.0, ge=0)
    """Seconds that work may go on after SIGTERM."""
    patience: float = Field(PATIENCE, ge=LEAST_PATIENCE, le=MOST_PATIENCE)
    """Mean service times that a surely right answer may cost, work times price: what is asked while
    queues are long. A prompt that no plan is worth it for is refused with 429."""
    queue_tasks: int = Field(DEFAULTS.queue_tasks, ge=1)
    """Tasks of guests that may wait; more are refused."""
    queue_bytes: int = Field(DEFAULTS.queue_bytes, ge=1)
    """Bytes of tasks that may wait."""
    discipline: Discipline = "owner-first"
    """Who is served next: the first that came, or the owner before guests, and guests in turn."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the file."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=_config_file())
        return init_settings, env_settings, file

    @property
    def policy(self) -> LayerPolicy:
        """How long layers wait."""
        doubt = 2 * heartbeat(self.silence_seconds)
        return LayerPolicy(self.deadline, self.quorum, self.grace, doubt)

    @property
    def default_aggregation(self) -> Aggregation:
        """What the model `dmoa` does with drafts."""
        return Aggregation(self.aggregation, self.early_stop, self.fallback)

    @property
    def budget(self) -> Budget:
        """How much may be spent on examinations."""
        return Budget(self.exam_share, self.exam_daily, self.exam_gap)

    def api_address(self) -> tuple[str, int]:
        """Host and port of the HTTP API.

        Raises:
            UsageError: it is no address.
        """
        host, colon, port = self.api.rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise UsageError(f"--api {self.api!r} is no HOST:PORT; write 127.0.0.1:8765")
        return host.strip("[]"), int(port)

    def api_keys(self) -> list[str]:
        """The keys of which clients must show one; none means that no key is asked for.

        Raises:
            UsageError: the key file cannot be read or is empty.
        """
        key = self.api_key.get_secret_value().strip() if self.api_key else ""
        keys = [key] if key else []
        if self.api_key_file is not None:
            try:
                lines = self.api_key_file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"cannot read the key file {self.api_key_file}: {error}") from None
            found = [line.strip() for line in lines if line.strip()]
            if not found:
                raise UsageError(f"the key file {self.api_key_file} holds no key")
            keys += found
        return keys


def load_settings(flags: dict[str, Any]) -> Settings:
    """Settings from file, environment and flags.

    Args:
        flags: those that were given; None and empty lists count as not given.

    Raises:
        UsageError: a value is out of range or a name unknown; says which and where.
    """
    named = os.environ.get("DMOA_CONFIG")
    if named and not Path(named).exists():
        raise UsageError(f"DMOA_CONFIG names {named}, which is not there")
    given = {name: value for name, value in flags.items() if value not in (None, [], ())}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        value = "" if first["type"] == "missing" else f" = {first['input']!r}"
        raise UsageError(f"setting {where}{value}: {first['msg']}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{_config_file()}: {error}") from None
    except SettingsError as error:
        raise UsageError(f"{error}; lists in the environment are written as JSON") from None
