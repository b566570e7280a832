"""Which versions talk to each other."""

from maxcloud_cli import output
from maxcloud_cli.settings import Settings, with_settings


@with_settings
def version(settings: Settings) -> None:
    """Show the versions of this command and of the API."""
    from maxcloud import __version__
    from maxcloud.errors import MaxCloudError

    api, trouble = None, ""
    if not settings.quiet:
        try:
            with settings.connection() as connection:
                api = connection.version()
        except MaxCloudError as error:
            trouble = str(error)
    if settings.output is not output.Format.TABLE:
        data = {"cli": __version__, "api": api and api.model_dump(mode="json")}
        output.result(output.as_data(data, settings.output))
    elif settings.quiet:
        output.result(__version__)
    else:
        output.result(f"maxcloud {__version__}")
        if api:
            commit = f" ({api.commit})" if api.commit else ""
            output.result(f"API      {api.version}{commit} at {settings.api_url}")
    if trouble:
        output.remark(f"API      not reached: {trouble}")
