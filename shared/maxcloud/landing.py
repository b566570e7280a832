"""The pages that links in mails lead to: a button that sends the token, and what comes of it.

The token stands behind the `#` of the link: a browser sends that to nobody, so that no server's
log and no mail scanner that follows links uses it up.
"""

import base64
import hashlib

from starlette.responses import HTMLResponse

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em}"
    "button{font:inherit;padding:.5em 1em}pre{white-space:pre-wrap;word-break:break-all}"
)

_SCRIPT = """
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
const button = document.querySelector("button"), said = document.querySelector("pre");
button.disabled = !token;
button.onclick = async () => {
  button.disabled = true;
  const answer = await fetch(location.pathname, {
    method: "POST",
    headers: {"Content-Type": "application/json", "Accept": "application/json"},
    body: JSON.stringify({token}),
  });
  const text = await answer.text(), told = text ? JSON.parse(text) : {};
  said.textContent = !answer.ok ? told.error
    : !told.api_key ? "✓"
    : `✓ ${told.organization.name}: ${told.role}\\n\\nmaxcloud auth login\\n\\n${told.api_key}`;
};
"""


def page(heading: str, button: str, afterwards: str) -> HTMLResponse:
    """Return a page that posts the token in its address to its own path.

    It runs this one script and nothing else, whatever comes to stand in it.
    """
    content = (
        '<!doctype html><html lang="de"><head><meta charset="utf-8"><title>max-cloud</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{heading}</h1><p><button>{button}</button></p><pre></pre><p>{afterwards}</p>"
        f"<script>{_SCRIPT}</script></body></html>"
    )
    allowed = {
        "default-src": "'none'",
        "script-src": _hash(_SCRIPT),
        "style-src": _hash(_STYLE),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    policy = "; ".join(f"{directive} {source}" for directive, source in allowed.items())
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(content, headers=headers)


def _hash(inline: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"
