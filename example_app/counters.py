"""The thirty variables of chasquid's monitoring document, declared once for all workers."""

from __future__ import annotations

import flask_expvar as expvar

# Declared before the workers are forked; every worker counts into the same totals. The labels
# are those of the document's Prometheus configuration.
alias_hooks = expvar.new_map(
    "chasquid/aliases/hookResults", label="result", help="aliases hook results, by hook and result"
)

deliver_attempts = expvar.new_map(
    "chasquid/queue/deliverAttempts",
    label="recipient_type",
    help="attempts to deliver mail, by recipient type",
)
dsn_queued = expvar.new_int("chasquid/queue/dsnQueued", "DSNs that we generated (queued)")
items_written = expvar.new_int("chasquid/queue/itemsWritten", "items the queue wrote to disk")
put_count = expvar.new_int("chasquid/queue/putCount", "envelopes put in the queue")

# Strangers choose these keys: what is over goes to "(other)".
commands = expvar.new_map(
    "chasquid/smtpIn/commandCount",
    label="command",
    help="SMTP commands received, by command",
    max_keys=50,
)
smtp_hooks = expvar.new_map(
    "chasquid/smtpIn/hookResults", label="result", help="hook invocations, by result"
)
loops_detected = expvar.new_int("chasquid/smtpIn/loopsDetected", "email loops detected")
response_codes = expvar.new_map(
    "chasquid/smtpIn/responseCodeCount",
    label="code",
    help="response codes returned to incoming SMTP connections",
)
levels_in = expvar.new_map(
    "chasquid/smtpIn/securityLevelChecks",
    label="result",
    help="security level checks on incoming connections, by result",
)
spf_results = expvar.new_map(
    "chasquid/smtpIn/spfResultCount", label="result", help="SPF checks, by result"
)
tls_in = expvar.new_map(
    "chasquid/smtpIn/tlsCount",
    label="status",
    help="TLS status of incoming connections, counted with each message",
)

levels_out = expvar.new_map(
    "chasquid/smtpOut/securityLevelChecks",
    label="result",
    help="security level checks on outgoing connections, by result",
)
sts_modes = expvar.new_map(
    "chasquid/smtpOut/sts/mode", label="mode", help="STS checks on outgoing connections, by mode"
)
sts_security = expvar.new_map(
    "chasquid/smtpOut/sts/security",
    label="result",
    help="STS security checks on outgoing connections, by result",
)
tls_out = expvar.new_map(
    "chasquid/smtpOut/tlsCount", label="status", help="TLS status of outgoing connections"
)

sts_expired = expvar.new_int("chasquid/sts/cache/expired", "expired entries in the STS cache")
sts_failed_fetch = expvar.new_int(
    "chasquid/sts/cache/failedFetch", "failed fetches in the STS cache"
)
sts_fetches = expvar.new_int("chasquid/sts/cache/fetches", "total fetches in the STS cache")
sts_hits = expvar.new_int("chasquid/sts/cache/hits", "hits in the STS cache")
sts_invalid = expvar.new_int("chasquid/sts/cache/invalid", "invalid policies in the STS cache")
sts_io_errors = expvar.new_int(
    "chasquid/sts/cache/ioErrors", "I/O errors when maintaining the STS cache"
)
sts_marshal_errors = expvar.new_int(
    "chasquid/sts/cache/marshalErrors", "marshaling errors when maintaining the STS cache"
)
sts_refresh_cycles = expvar.new_int("chasquid/sts/cache/refreshCycles", "STS cache refresh cycles")
sts_refresh_errors = expvar.new_int("chasquid/sts/cache/refreshErrors", "STS cache refresh errors")
sts_refreshes = expvar.new_int("chasquid/sts/cache/refreshes", "STS cache refreshes")
sts_unmarshal_errors = expvar.new_int(
    "chasquid/sts/cache/unmarshalErrors", "unmarshaling errors in the STS cache"
)

# chasquid/version, chasquid/sourceDateStr and chasquid/sourceDateTimestamp.
expvar.publish_build_info("chasquid", version="1.0.0", source_date=1_795_500_000)
