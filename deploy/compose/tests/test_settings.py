"""docker-compose.yml, .env.example, `make secrets` and the services' settings say the same."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from deploy.compose import secret_file
from deploy.compose.engine import ROOT
from deploy.gateway.render import SERVICES
from libs.chassis.settings import ServiceSettings
from libs.testing.servers.kafka_dist import VERSION as KAFKA

COMPOSE = (ROOT / "docker-compose.yml").read_text()
INCLUDED = re.findall(
    r"docker-compose\.\w+\.yml", re.findall(r"^include: .*", COMPOSE, re.MULTILINE)[0]
)
ALL = COMPOSE + "".join((ROOT / name).read_text() for name in INCLUDED)
EXAMPLE = ROOT / ".env.example"
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+):([-?])([^}]*)\}")
# Read by Compose itself.
COMPOSES_OWN = {"COMPOSE_PROFILES"}
# Read by `libs/chassis/telemetry.py`, under OpenTelemetry's names.
TELEMETRY = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER_ARG"}


def _variables(kind: str) -> dict[str, str]:
    """The variables with a default (`-`) or without (`?`), and what follows."""
    return {name: rest for name, sort, rest in VARIABLE.findall(ALL) if sort == kind}


def _block(name: str) -> dict[str, str]:
    """The settings of a top-level `x-<name>` block."""
    [body] = re.findall(rf"^x-{name}: &{name}\n((?:  .*\n)+)", COMPOSE, re.MULTILINE)
    return dict(re.findall(r"^  ([A-Z0-9_]+): (.*)$", body, re.MULTILINE))


def _settings(service: str) -> type[ServiceSettings]:
    module = import_module(f"services.{service}.settings")
    found: type[ServiceSettings] = getattr(module, f"{service.title()}Settings")
    assert issubclass(found, ServiceSettings)
    return found


def _names(settings: type[ServiceSettings]) -> dict[str, str]:
    """The variable that each field is read from."""
    prefix = settings.model_config["env_prefix"]
    return {
        name: field.validation_alias
        if isinstance(field.validation_alias, str)
        else f"{prefix}{name}".upper()
        for name, field in settings.model_fields.items()
    }


def test_every_variable_is_read_with_a_default_or_demanded() -> None:
    assert len(re.findall(r"\$\{", ALL)) == len(VARIABLE.findall(ALL))
    assert not set(_variables("-")) & set(_variables("?"))


def test_the_example_documents_every_variable_and_its_default() -> None:
    text = EXAMPLE.read_text()
    defaults = dict(re.findall(r"^# ([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE))
    demanded = dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE))
    assert defaults == {**_variables("-"), **dict.fromkeys(COMPOSES_OWN, "")}
    assert demanded == dict.fromkeys(_variables("?"), "")


def test_a_variable_has_the_same_default_everywhere() -> None:
    found = {(name, rest) for name, sort, rest in VARIABLE.findall(ALL) if sort == "-"}
    assert len(found) == len(_variables("-"))


def test_what_is_demanded_is_what_is_made() -> None:
    assert set(_variables("?")) == set(secret_file.REQUIRED)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_given_every_setting_it_has(service: str) -> None:
    given = {*_block("environment"), *_block(service)} - TELEMETRY
    wanted = set(_names(_settings(service)).values()) - {f"{service.upper()}_OWNER_DATABASE_URL"}
    assert given == wanted


@pytest.mark.parametrize("service", SERVICES)
def test_a_default_of_compose_is_the_services_own(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {name: make() for name, make in secret_file.REQUIRED.items()}
    given = {**_block("environment"), **_block(service)}
    given = {name: value for name, value in given.items() if name not in TELEMETRY}
    for name, value in given.items():
        full = VARIABLE.sub(lambda m: secrets.get(m[1], m[3]), value.strip('"'))
        monkeypatch.setenv(name, full)
    settings = _settings(service)
    built = settings()
    names = _names(settings)
    for field, described in settings.model_fields.items():
        if re.fullmatch(r"\$\{[A-Z0-9_]+:-[^}]*\}", given.get(names[field], "")):
            default = described.get_default(call_default_factory=True)
            value = getattr(built, field)
            # An empty secret is as good as none.
            assert value == default or not (default or value.get_secret_value()), field


def test_the_simulators_values_are_variables() -> None:
    assert set(secret_file.simulated({})) <= {*_variables("-"), *COMPOSES_OWN}


def test_images_are_pinned_and_kafkas_is_the_one_that_is_tested() -> None:
    dockerfile = (ROOT / "deploy/images/Dockerfile").read_text()
    images = re.findall(r"image: (docker\.io/\S+)", ALL)
    images += re.findall(r"^ARG PYTHON=(\S+)", dockerfile, re.MULTILINE)
    assert len(images) == 7
    # A backup is restored by the programs of the server that it is of.
    backups = (ROOT / "deploy/backup/Dockerfile").read_text()
    assert re.findall(r"^ARG POSTGRES=(\S+)", backups, re.MULTILINE)[0] in images
    assert all(re.search(r":v?\d+\.\d+\.?\d*", image) for image in images)
    assert f"docker.io/apache/kafka:{KAFKA}" in images


def test_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    assert secret_file.fill(file, EXAMPLE, {}) == sorted(secret_file.REQUIRED)
    first = secret_file.read(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(set(first.values())) == len(first)
    assert secret_file.fill(file, EXAMPLE, {}) == []
    assert secret_file.read(file) == first


def test_a_value_that_stands_is_never_changed(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("POSTGRES_PASSWORD=mine\nIDENTITY_PEPPER=\n")
    made = secret_file.fill(file, EXAMPLE, {"POSTGRES_PASSWORD": "other", "SIMULATOR_DRIP": "0"})
    values = secret_file.read(file)
    assert "POSTGRES_PASSWORD" not in made
    assert (values["POSTGRES_PASSWORD"], values["SIMULATOR_DRIP"]) == ("mine", "0")
    assert len(values["IDENTITY_PEPPER"]) >= 32


def test_one_secret_with_two_names_stays_one() -> None:
    made = secret_file.simulated({"ACCOUNTS_TIKTOK_CLIENT_SECRET": "known"})
    assert made["INGESTION_TIKTOK_WEBHOOK_SECRETS"] == "known"
    assert made["INGESTION_LINKEDIN_WEBHOOK_SECRETS"] == made["ACCOUNTS_LINKEDIN_CLIENT_SECRET"]
