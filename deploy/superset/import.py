"""Imports the bundle into the Superset of $SUPERSET_HOME, in process: a broken bundle is an error text
here, where Superset's API would only say "unknown reason".

Owns the file $SUPERSET_HOME/imported.json: the ids of what it imported last. What is no longer in the
bundle (or lost its table) is removed by that list; charts and dashboards of other people are not
touched. The database's address comes from $SUPERSET_DATABASE, password included; it is never an
argument and never printed. Prints one line, with the charts that were left out.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

import sqlalchemy
from sqlalchemy.engine.url import make_url

sys.path.insert(0, str(Path(__file__).parent))
import assets  # noqa: E402

ADMIN = "admin"


def address():
    """mysql://user:password@host:port/database, as the pure Python driver of both servers wants it."""
    url = make_url(os.environ["SUPERSET_DATABASE"])
    return url.set(drivername="mysql+pymysql", query={"charset": "utf8mb4"})


def tables(url):
    """The tables that the account may read."""
    engine = sqlalchemy.create_engine(url)
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
    with engine.connect() as connection:
        return {row[0] for row in connection.execute(query)}


def main():
    url = address()
    prefix = os.environ.get("TWEETFLOW_TABLE_PREFIX", "")
    bundle = assets.read_bundle(os.environ.get("TWEETFLOW_BUNDLE", assets.BUNDLE))
    # Not str(): its *** would pass for the password. Superset's mask is XXXXXXXXXX.
    shown = url.set(password="XXXXXXXXXX") if url.password else url
    shown = shown.render_as_string(hide_password=False)
    files = assets.build(bundle, shown, tables(url), prefix)

    # Superset greets on standard output.
    with contextlib.redirect_stdout(sys.stderr):
        from superset.app import create_app

        app = create_app()
    with app.app_context():
        make_admin(os.environ.get("SUPERSET_ADMIN_PASSWORD"))
        run_import(files, {f"databases/{assets.DATABASE}.yaml": url.password} if url.password else {})
        removed = forget_what_is_gone(files)
    charts = {path for path in files if path.startswith("charts/")}
    left_out = sorted(name for name in bundle[1] if f"charts/{name.replace(' ', '_')}.yaml" not in charts)
    print(f"imported charts={len(charts)} left_out={', '.join(left_out) or 'none'} removed={removed}")


def make_admin(password):
    """In process, because `fab create-admin` wants the password as an argument."""
    from superset import security_manager

    user = security_manager.find_user(ADMIN)
    if user is None:
        role = security_manager.find_role("Admin")
        security_manager.add_user(ADMIN, "Tweeter", "Admin", "admin@localhost.invalid", role, password)
    elif password:
        security_manager.reset_password(user.id, password)


def run_import(files, passwords):
    from flask import g
    from superset import db, security_manager
    from superset.commands.exceptions import CommandInvalidError
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    g.user = security_manager.find_user(ADMIN)
    try:
        ImportAssetsCommand(files, passwords=passwords).run()
        db.session.commit()
    except CommandInvalidError as error:
        sys.exit(f"import.py: {json.dumps(error.normalized_messages(), default=str)}")


def forget_what_is_gone(files):
    """Removes what an earlier import brought and this one did not. Charts go before datasets."""
    import yaml
    from superset import db
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.slice import Slice

    now = [yaml.safe_load(text).get("uuid") for text in files.values()]
    record = Path(os.environ["SUPERSET_HOME"]) / "imported.json"
    before = json.loads(record.read_text()) if record.exists() else []
    gone = set(before) - set(now)
    removed = 0
    for model in (Slice, SqlaTable):
        for row in db.session.query(model).all():
            if str(row.uuid) in gone:
                db.session.delete(row)
                removed += 1
    db.session.commit()
    record.write_text(json.dumps(sorted(filter(None, now))))
    return removed


main()
