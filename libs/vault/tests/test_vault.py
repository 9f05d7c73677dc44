from uuid import UUID, uuid4

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from libs.vault import BadKey, Unreadable, Vault, WrongRow

WORKSPACE, ACCOUNT = uuid4(), uuid4()


def key() -> SecretStr:
    return SecretStr(Fernet.generate_key().decode())


def seal(vault: Vault, secret: str = "canary") -> str:
    return vault.seal(
        SecretStr(secret), workspace_id=WORKSPACE, account_id=ACCOUNT, purpose="access"
    )


def opened(
    vault: Vault,
    ciphertext: str,
    workspace: UUID = WORKSPACE,
    account: UUID = ACCOUNT,
    purpose: str = "access",
) -> str:
    return vault.open(
        ciphertext, workspace_id=workspace, account_id=account, purpose=purpose
    ).get_secret_value()


@pytest.mark.parametrize("secret", ["canary", "", "ключ 🗝 \n", "x" * 4000])
def test_a_sealed_secret_opens_for_its_own_row(secret: str) -> None:
    vault = Vault([key()])
    assert opened(vault, seal(vault, secret)) == secret


def test_ciphertext_of_another_row_is_refused() -> None:
    vault = Vault([key()])
    ciphertext = seal(vault)
    with pytest.raises(WrongRow):
        opened(vault, ciphertext, account=uuid4())
    with pytest.raises(WrongRow):
        opened(vault, ciphertext, workspace=uuid4())
    with pytest.raises(WrongRow):
        opened(vault, ciphertext, purpose="refresh")


def test_the_same_secret_never_looks_the_same_twice() -> None:
    vault = Vault([key()])
    assert seal(vault) != seal(vault)


def test_an_older_key_still_opens_and_the_newest_one_seals() -> None:
    old, new = key(), key()
    ciphertext = seal(Vault([old]))
    rotated = Vault([new, old])
    assert opened(rotated, ciphertext) == "canary"
    assert opened(Vault([new]), seal(rotated)) == "canary"


def test_a_foreign_key_or_a_changed_byte_opens_nothing() -> None:
    ciphertext = seal(Vault([key()]))
    with pytest.raises(Unreadable):
        opened(Vault([key()]), ciphertext)
    vault = Vault([key()])
    ciphertext = seal(vault)
    middle = len(ciphertext) // 2
    swapped = "A" if ciphertext[middle] != "A" else "B"
    with pytest.raises(Unreadable):
        opened(vault, ciphertext[:middle] + swapped + ciphertext[middle + 1 :])
    with pytest.raises(Unreadable):
        opened(vault, "not a token")


def test_nothing_printed_holds_a_secret() -> None:
    secret_key = key()
    vault = Vault([secret_key])
    assert secret_key.get_secret_value() not in repr(vault)
    ciphertext = seal(vault)
    value = vault.open(ciphertext, workspace_id=WORKSPACE, account_id=ACCOUNT, purpose="access")
    assert "canary" not in repr(value)
    for wrong in (Vault([key()]), vault):
        with pytest.raises(ValueError) as caught:
            wrong.open(ciphertext, workspace_id=uuid4(), account_id=ACCOUNT, purpose="access")
        assert "canary" not in str(caught.value)


def test_a_malformed_key_is_named_without_being_shown() -> None:
    with pytest.raises(BadKey) as caught:
        Vault([SecretStr("short-secret-key")])
    assert "short-secret-key" not in str(caught.value)
    with pytest.raises(BadKey):
        Vault([])
