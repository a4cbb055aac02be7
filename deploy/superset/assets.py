"""The bundle (bundle/*.yaml) as the files that Superset 6.1 imports.

Owns how a chart of the bundle becomes a chart of Superset: `params` is what a browser queries by,
`query_context` what the API does, and both are made from the same lines here. Reads no database and
knows no password. Ids are uuid5 of a fixed namespace and the name, so that a second import overwrites.

usage: assets.py FILE.zip mysql://USER@HOST:PORT/DATABASE TABLE...    for a Superset that is there already;
       with the charts of these tables
"""

import json
import sys
import uuid
import zipfile
from pathlib import Path

import yaml

BUNDLE = Path(__file__).parent / "bundle"
NAMESPACE = uuid.UUID("6f1f6a4e-6a55-5d0c-9b0e-7477656574f1")
DATABASE = "MySQL_data"
TABLE_ROWS = 1000


def stable_id(kind, name):
    """The same for ever: `kind` is database, dataset, chart or dashboard."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}/{name}"))


def read_bundle(folder=BUNDLE):
    """The three files: (datasets, charts, dashboard)."""
    return tuple(
        yaml.safe_load((Path(folder) / f"{name}.yaml").read_text())
        for name in ("datasets", "charts", "dashboard")
    )


def build(bundle, uri, tables, prefix=""):
    """Files by path, for the database at `uri` (without a password), which has `tables`."""
    datasets, charts, dashboard = bundle
    datasets = {
        name: dataset
        for name, dataset in datasets.items()
        if all(table_name(table, prefix) in tables for table in dataset["needs"])
    }
    charts = {name: chart for name, chart in charts.items() if chart["dataset"] in datasets}
    files = {"metadata.yaml": {"version": "1.0.0", "timestamp": "2026-01-01T00:00:00+00:00"}}
    files[f"databases/{DATABASE}.yaml"] = database_file(uri)
    for name, dataset in datasets.items():
        files[f"datasets/{DATABASE}/{name}.yaml"] = dataset_file(name, dataset, prefix)
    for name, chart in charts.items():
        files[f"charts/{name.replace(' ', '_')}.yaml"] = chart_file(name, chart, datasets)
    files["dashboards/Tweeter_dashboard.yaml"] = dashboard_file(dashboard, charts)
    return {path: yaml.safe_dump(text, allow_unicode=True) for path, text in files.items()}


def table_name(table, prefix):
    """The report's old tables have no prefix: they are not the job's."""
    return table if table.startswith("legacy_") else prefix + table


def database_file(uri):
    return {
        "database_name": DATABASE,
        "sqlalchemy_uri": uri,
        # Off. 0 would mean that a cache, were there one, keeps answers for ever.
        "cache_timeout": -1,
        "expose_in_sqllab": True,
        "allow_dml": False,
        "extra": {"allows_virtual_table_explore": True},
        "uuid": stable_id("database", DATABASE),
        "version": "1.0.0",
    }


def dataset_file(name, dataset, prefix):
    column = lambda name, kind: {  # noqa: E731
        "column_name": name,
        "type": kind,
        "is_dttm": kind == "DATETIME",
        "groupby": True,
        "filterable": True,
        "is_active": True,
    }
    columns = [column(*pair) for pair in dataset["columns"].items()]
    times = [column["column_name"] for column in columns if column["is_dttm"]]
    return {
        "table_name": name,
        "main_dttm_col": times[0] if times else None,
        "sql": dataset["sql"].replace("{p}", prefix),
        "cache_timeout": -1,
        "columns": columns,
        "metrics": [{"metric_name": "count", "expression": "COUNT(*)", "metric_type": "count"}],
        "uuid": stable_id("dataset", name),
        "database_uuid": stable_id("database", DATABASE),
        "version": "1.0.0",
    }


# --- charts --------------------------------------------------------------------------------------


def metric(sql, label):
    return {
        "expressionType": "SQL",
        "sqlExpression": sql,
        "label": label,
        "hasCustomLabel": True,
        "optionName": f"metric_{label}",
    }


def number(chart, _dataset):
    value = metric(chart["value"], "value")
    params = {"metric": value, "subtitle": chart["caption"], "y_axis_format": ",d", "header_font_size": 0.4}
    return "big_number_total", params, {"columns": [], "metrics": [value]}


def bars(chart, _dataset):
    value, place = metric(chart["value"], chart["label"]), metric(chart.get("order", ""), "place")
    params = {
        "x_axis": chart["x"],
        "metrics": [value],
        "groupby": [],
        "row_limit": chart["limit"],
        "truncate_metric": True,
        "y_axis_format": ",d",
        "xAxisForceCategorical": True,
        "xAxisLabelRotation": 45,
        "show_legend": False,
        "rich_tooltip": True,
        "color_scheme": "supersetColors",
    }
    query = {"columns": [x_axis(chart["x"])], "metrics": [value], "row_limit": chart["limit"]}
    if "order" in chart:
        # Which bars, and in what order: both by the place, which is unique. By the value, equal bars
        # would change places.
        params |= {"timeseries_limit_metric": place, "order_desc": False}
        params |= {"x_axis_sort": "place", "x_axis_sort_asc": True}
        query["metrics"] = [value, place]
        query["orderby"] = [[place, True]]
    else:
        params |= {"x_axis_sort": chart["x"], "x_axis_sort_asc": True}
        query["orderby"] = [[x_axis(chart["x"]), True]]
    return "echarts_timeseries_bar", params, query


def lines(chart, _dataset):
    value = metric(chart["value"], chart["label"])
    params = {
        "x_axis": chart["x"],
        # The table has whole minutes already.
        "time_grain_sqla": None,
        "metrics": [value],
        "groupby": [chart["by"]],
        "row_limit": 10_000,
        "truncate_metric": True,
        "y_axis_format": ",d",
        "x_axis_time_format": "%H:%M",
        "show_legend": True,
        "rich_tooltip": True,
        "color_scheme": "supersetColors",
    }
    query = {
        "columns": [x_axis(chart["x"]), chart["by"]],
        "metrics": [value],
        "orderby": [[chart["x"], True], [chart["by"], True]],
        "row_limit": 10_000,
    }
    return "echarts_timeseries_line", params, query


def x_axis(column):
    return {
        "columnType": "BASE_AXIS",
        "sqlExpression": column,
        "label": column,
        "expressionType": "SQL",
    }


def words(chart, _dataset):
    # All rows: a word cloud of Superset's knows no order, and a limit would take any of them.
    value = metric(chart["value"], "uses")
    params = {
        "series": chart["word"],
        "metric": value,
        "row_limit": TABLE_ROWS,
        "sort_by_metric": True,
        "rotation": "flat",
        "size_from": 12,
        "size_to": 60,
        "color_scheme": "supersetColors",
    }
    query = {
        "columns": [chart["word"]],
        "metrics": [value],
        "orderby": [[value, False]],
        "row_limit": TABLE_ROWS,
    }
    return "word_cloud", params, query


def table(chart, dataset):
    order = [chart["order"]] if isinstance(chart["order"], str) else chart["order"]
    order = [[name.removesuffix(" desc"), not name.endswith(" desc")] for name in order]
    columns = list(chart["columns"])
    params = {
        "query_mode": "raw",
        "all_columns": columns,
        "order_by_cols": [json.dumps(pair) for pair in order],
        # More than any dataset of a table has: rows that reach it get a warning.
        "row_limit": TABLE_ROWS,
        "server_pagination": False,
        "show_cell_bars": True,
        "table_timestamp_format": "smart_date",
        "column_config": {
            name: {"customColumnName": heading, "showCellBars": name in chart.get("bars", [])}
            | ({"d3NumberFormat": ",d"} if dataset["columns"].get(name) == "BIGINT" else {})
            for name, heading in chart["columns"].items()
        },
    }
    query = {"columns": columns, "metrics": None, "orderby": order, "row_limit": TABLE_ROWS}
    return "table", params, query


KINDS = {"number": number, "bars": bars, "lines": lines, "words": words, "table": table}


def chart_file(name, chart, datasets):
    viz, params, query = KINDS[chart["kind"]](chart, datasets[chart["dataset"]])
    # Superset puts the dataset's number in the place of 0.
    params |= {"datasource": "0__table", "viz_type": viz, "adhoc_filters": []}
    query = {"filters": [], "extras": {"having": "", "where": ""}, "time_range": "No filter"} | query
    context = {
        "datasource": {"id": 0, "type": "table"},
        "force": True,
        "queries": [query],
        "form_data": params,
        "result_format": "json",
        "result_type": "full",
    }
    return {
        "slice_name": name,
        "viz_type": viz,
        "params": params,
        "query_context": json.dumps(context),
        "cache_timeout": -1,
        "uuid": stable_id("chart", name),
        "dataset_uuid": stable_id("dataset", chart["dataset"]),
        "version": "1.0.0",
    }


# --- the dashboard -------------------------------------------------------------------------------


def dashboard_file(dashboard, charts):
    return {
        "dashboard_title": dashboard["title"],
        "slug": dashboard["slug"],
        "published": True,
        "position": position(dashboard, charts),
        "metadata": {
            "refresh_frequency": dashboard["refresh"],
            # Else each round is spread over 5 s, and the next one waits for it.
            "stagger_refresh": False,
            "timed_refresh_immune_slices": [],
            "default_filters": "{}",
        },
        "uuid": stable_id("dashboard", dashboard["title"]),
        "version": "1.0.0",
    }


def position(dashboard, charts):
    """The grid: Superset's flat map of parts, each naming its children."""
    top = ["ROOT_ID", "GRID_ID"]
    parts = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": [], "parents": top[:1]},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": dashboard["title"]}},
    }
    number = 0
    for index, row in enumerate(dashboard["rows"], 1):
        cells = fitting(row["cells"], charts)
        if not cells:
            continue
        row_id = f"ROW-{index}"
        parts["GRID_ID"]["children"].append(row_id)
        background = {"background": "BACKGROUND_TRANSPARENT"}
        parts[row_id] = {"type": "ROW", "id": row_id, "children": [], "parents": top, "meta": background}
        for cell in cells:
            number += 1
            meta = {"width": cell["width"], "height": row["height"]}
            if "text" in cell:
                kind, meta = "MARKDOWN", meta | {"code": cell["text"]}
            else:
                kind = "CHART"
                meta |= {"chartId": number, "uuid": stable_id("chart", cell["chart"])}
                meta |= {"sliceName": cell["chart"]}
                if "title" in cell:
                    meta["sliceNameOverride"] = cell["title"]
            cell_id = f"{kind}-{number}"
            parts[row_id]["children"].append(cell_id)
            parents = [*top, row_id]
            parts[cell_id] = {"type": kind, "id": cell_id, "children": [], "parents": parents, "meta": meta}
    return parts


def fitting(cells, charts):
    """The cells of a row that have something to show, as wide together as all of them were."""
    left = [dict(cell) for cell in cells if "text" in cell or cell["chart"] in charts]
    spare = sum(cell["width"] for cell in cells) - sum(cell["width"] for cell in left)
    for index, cell in enumerate(left):
        cell["width"] += spare // len(left) + (index < spare % len(left))
    return left


def write_zip(path, address, tables):
    """One folder on top, which Superset takes off. It asks for the password at the import."""
    user, place = address.removeprefix("mysql://").split("@")
    uri = f"mysql+pymysql://{user}:XXXXXXXXXX@{place}?charset=utf8mb4"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in build(read_bundle(), uri, tables).items():
            archive.writestr(f"tweeter/{name}", text)


if __name__ == "__main__":
    if len(sys.argv) < 4 or not sys.argv[2].startswith("mysql://"):
        sys.exit(__doc__)
    write_zip(sys.argv[1], sys.argv[2], set(sys.argv[3:]))
