"""A corpus of secrets, each as programs have them in texts; none may come out of any page.

Keys of known services are put together here, so that no scanner takes them for real ones.
"""

from __future__ import annotations

PEM = "MIICXAIBAAKBgQC7zPh5a2J8WkQq0"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFU"

# ``@`` is where the secret is.
_TEXTS: list[tuple[str, str]] = [
    # Known by their looks.
    ("key @ used", "AKIA" + "IOSFODNN7EXAMPLE"),
    ("role @", "ASIA" + "QWERTYUIOPASDFGH"),
    ("push with @", "ghp" + "_16C7e42F292c6912E7710c838347Ae178B4a"),
    ("app @", "gho" + "_16C7e42F292c6912E7710c838347Ae178B4b"),
    ("server-to-server @", "ghs" + "_16C7e42F292c6912E7710c838347Ae178B4c"),
    ("fine @", "github" + "_pat_11ABCDEFG0abcdefghijkl"),
    ("gitlab @", "glpat" + "-abcdefghijklmnopqrst"),
    ("slack @", "xoxb" + "-263594206564-abcdefghijkl"),
    ("slack app @", "xoxp" + "-263594206564-mnopqrstuvwx"),
    ("stripe @", "sk_" + "live_abcdefghijklmnop"),
    ("stripe restricted @", "rk_" + "live_bcdefghijklmnopq"),
    ("stripe hook @", "whsec" + "_cdefghijklmnopqr"),
    ("model @", "sk" + "-proj-abcdefghijkl0mnopqrs"),
    ("maps @", "AIza" + "SyabcdefghijklmnopqrstuvwxyzABCDE"),
    ("registry @", "npm" + "_abcdefghijklmnopqrstuvwxyz0123456789"),
    ("index @", "pypi" + "-AgEIcHlwaS5vcmcabcdefgh"),
    ("hub @", "hf" + "_abcdefghijklmnopqrstuv"),
    ("mail @", "SG" + ".abcdefghijklmnopqrstuv.abcdefgh"),
    ("post to https://@", "hooks.slack.com" + "/services/T00000000/B00000000/abcdefgi"),
    ("session @", JWT),
    (f"-----BEGIN RSA PRIVATE KEY-----\n@\n{'A' * 20}\n-----END RSA PRIVATE KEY-----", PEM),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\n@", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"),
    (
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n@\n-----END PGP PRIVATE KEY BLOCK-----",
        "lQOYBF2Gq0sBCADQ",
    ),
    # Card numbers.
    ("paid with @", "4111111111111111"),
    ("paid with @.", "4012 8888 8888 1881"),
    ("paid with @,", "5555-5555-5555-4444"),
    ("amex @", "3782 822463 10005"),
    ("jcb @", "3530111333300000"),
    # URLs.
    ("postgresql://bob:@@db.example.com/shop", "urlpass1"),
    ("postgresql+psycopg://bob:@@db:5432/shop", "p/w?1#2x"),
    ("redis://:@@cache:6379/0", "urlpass3"),
    ("amqp://bob:@@mq:5672/shop", "urlpass4"),
    ("mongodb+srv://bob:@@cluster0.example.net/?retryWrites=true", "urlpass5"),
    ("mysql://root:@@[::1]:3306/x", "urlpass6"),
    ("smtps://bob%40example.com:@@mail.example.com:465", "urlpass7"),
    ("https://@@github.com/org/repo.git", "0123456789abcdef0124"),
    ("https://example.com/cb?code=@#top", "urlquery1"),
    ("https://example.com/cb?a=1&access_token=@", "urlquery2"),
    ("https://example.com/cb#id_token=@", "urlfragment1"),
    ("https://bucket.s3.amazonaws.com/x?X-Amz-Signature=@", "0a1b2c3d4e5f60718293"),
    ("/callback?token=@", "pathquery1"),
    ("jdbc:mysql://db/shop?user=bob&password=@", "jdbcpass1"),
    # Headers.
    ("Authorization: Bearer @", "bearer-abc.def1"),
    ("authorization=Token @", "header-token1"),
    ("sent Bearer @ to it", "bearer-abc.def2"),
    ("Basic @", "Ym9iOmh1bnRlcjI="),
    ('Digest username="bob", response="@"', "6629fae49393a05397450978507c4ef1"),
    ("Cookie: session=@; theme=dark", "cookievalue1"),
    ("Set-Cookie: sessionid=@; HttpOnly", "cookievalue2"),
    ("X-Api-Key: @", "apikeyvalue1"),
    ("{'Authorization': 'Basic @'}", "Ym9iOmh1bnRlcjM="),
    # Assignments, in every dress.
    ("password=@", "assigned1"),
    ("password = '@'", "assigned two"),
    ('{"password": "@"}', "assigned3"),
    ("{'db': {'passwd': '@'}}", "assigned4"),
    ('{\\"client_secret\\": \\"@\\"}', "assigned5"),
    ("SECRET_KEY=@", "assigned6"),
    ("dbname=shop user=bob password=@ sslmode=on", "assigned7"),
    ("Server=db;User Id=sa;Pwd=@;Encrypt=yes", "assigned8"),
    ("Endpoint=sb://x/;SharedAccessKey=@=", "YXNzaWduZWQ5"),
    ("AccountName=x;AccountKey=@;", "YXNzaWduZWQxMA=="),
    ("api_key=@", "assigned11"),
    ("'apiKey': '@'", "assigned12"),
    ("otp=@", "498712"),
    ("ssn=@", "078-05-1120"),
    ("config[auth_token]=@", "assigned13"),
    ("sentry_dsn=https://@@o1.ingest.sentry.io/2", "9f86d081884c7d65"),
    ("DATABASE_URL=postgres://bob:@@db/x", "assigned14"),
    # High entropy.
    ("got @", "Zk3v9QxT7mBw2LrY8sHd"),
    ("aws @", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("strong @", "xK9#mP2$vL5!nQ8*wR3^zT6"),
    ("/srv/www/@/index.html", "Qw8eR2tY6uI0oP4aS1dF"),
]
#: Texts, each with a secret of its own in it.
PLANTED = [(text.replace("@", secret, 1), secret) for text, secret in _TEXTS]

_NAMES = """
    PASSWORD DB_PASSWORD db-pwd SECRET_KEY API_KEY apiToken AUTH_HEADER credentials SIGNING_SALT
    session_cookie csrf JWT_VALUE otp user_pin SSN CVV SENTRY_DSN connection_string DATABASE_URL
    webhook tls_cert VAULT KUBE_CONF license
"""
#: Secrets that only the name they go by tells.
NAMED = [(name, f"plain{number:02d}value") for number, name in enumerate(_NAMES.split())]
