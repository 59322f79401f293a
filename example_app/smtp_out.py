"""SMTP out: to the servers of a domain, as safely as they let us and as we know they can."""

from __future__ import annotations

import smtplib
import socket
import ssl
from contextlib import suppress

import flask_expvar as expvar

from . import counters
from .envelope import NOBODY, Item, PermanentError, TemporaryError, domain_of
from .levels import INSECURE, PLAIN, SECURE, Levels
from .names import Names
from .settings import Settings
from .sts import ENFORCE, Policy
from .sts_cache import PolicyCache


class RemoteCourier:
    """Delivers to other servers, which it finds through the DNS."""

    def __init__(
        self, settings: Settings, names: Names, levels: Levels, policies: PolicyCache
    ) -> None:
        self._settings = settings
        self._names = names
        self._levels = levels
        self._policies = policies
        self._verified = ssl.create_default_context(cafile=settings.ca_file)
        # Of a certificate that nobody vouches for we still take the encryption.
        self._unverified = ssl.create_default_context()
        self._unverified.check_hostname = False
        self._unverified.verify_mode = ssl.CERT_NONE

    def deliver(self, item: Item, address: str) -> None:
        """Try the servers of the domain of *address*, until one takes the message or refuses it.

        :raises TemporaryError: if none of them could be reached, or was safe enough.
        :raises PermanentError: if one refused it, or there is none.
        """
        domain = domain_of(address)
        policy = self._policies.fetch(domain)
        if policy is not None:
            counters.sts_modes.add(policy.mode)
        failure: Exception = PermanentError(f"nobody takes mail for {domain}")
        for server in self._names.mail_servers(domain):
            if policy is not None and policy.mode == ENFORCE and not policy.allows(server):
                failure = TemporaryError(f"{server} is not in the MTA-STS policy of {domain}")
                continue
            try:
                return self._deliver_to(server, domain, policy, item, address)
            except TemporaryError as error:
                expvar.current_trace().log("%s: %s", server, error)
                failure = error
        raise failure

    def _deliver_to(
        self, server: str, domain: str, policy: Policy | None, item: Item, address: str
    ) -> None:
        try:
            client, level = self._connect(server)
            counters.tls_out.add(level)
            try:
                self._check(domain, level, policy)
                sender = "" if item.sender == NOBODY else item.sender
                client.sendmail(sender, [address], item.data)
            finally:
                _leave(client)
        except smtplib.SMTPResponseException as error:
            _refused(server, error.smtp_code, error.smtp_error)
        except smtplib.SMTPRecipientsRefused as error:
            _refused(server, *error.recipients[address])
        except (OSError, smtplib.SMTPException) as error:
            raise TemporaryError(f"{server}: {type(error).__name__}") from error

    def _connect(self, server: str) -> tuple[smtplib.SMTP, str]:
        """Return a connection that is as safe as the server can, and its level."""
        try:
            return self._greet(server, self._verified)
        except ssl.SSLError as error:
            expvar.current_trace().log("no safe TLS with %s: %s", server, type(error).__name__)
            client, level = self._greet(server, self._unverified)
            return client, INSECURE if level == SECURE else level

    def _greet(self, server: str, context: ssl.SSLContext) -> tuple[smtplib.SMTP, str]:
        client = self._client(server)
        try:
            client.ehlo_or_helo_if_needed()
            if not client.has_extn("starttls"):
                return client, PLAIN
            client.starttls(context=context)
            client.ehlo_or_helo_if_needed()
            return client, SECURE
        except BaseException:
            client.close()
            raise

    def _client(self, server: str) -> smtplib.SMTP:
        found = self._names.addresses(server)
        if not found:
            raise TemporaryError(f"{server} has no address")
        return _Client(found[0], server, self._settings)

    def _check(self, domain: str, level: str, policy: Policy | None) -> None:
        """Refuse a connection that is less safe than it was before, or than the policy wants."""
        if not self._levels.check_outgoing(domain, level):
            raise TemporaryError(f"{domain} was safer before than {level}")
        if policy is not None and policy.mode == ENFORCE:
            counters.sts_security.add("pass" if level == SECURE else "fail")
            if level != SECURE:
                raise TemporaryError(f"the MTA-STS policy of {domain} does not allow {level}")


class _Client(smtplib.SMTP):
    """smtplib's client, connected to an address; its certificate must be for the *name*."""

    def __init__(self, address: str, name: str, settings: Settings) -> None:
        self._address = address
        # With a host, smtplib connects at once, and checks the certificate against that name.
        super().__init__(
            name, settings.out_port, local_hostname=settings.hostname, timeout=settings.timeout
        )

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((self._address, port), timeout)


def _leave(client: smtplib.SMTP) -> None:
    # A server that hangs now has said 250 before: sending again would make a duplicate.
    with suppress(OSError, smtplib.SMTPException):
        client.quit()
    client.close()


def _refused(server: str, code: int, text: bytes | str) -> None:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    kind = PermanentError if 500 <= code < 600 else TemporaryError
    raise kind(f"{server}: {code} {said}")
