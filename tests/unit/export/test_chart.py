import xml.etree.ElementTree as ElementTree

import matplotlib
from matplotlib.figure import Figure

from fnet_export.base.svg import STYLE, svg_from_figure

SVG = "{http://www.w3.org/2000/svg}"


def drawn() -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3, 2))
        figure.subplots().plot([1, 2], [3, 4])
    return svg_from_figure(figure, title="Error", description='Error of "a" & b by layer')


def test_a_chart_is_the_same_text_each_time() -> None:
    assert drawn() == drawn()


def test_a_chart_is_one_element_that_says_what_it_shows() -> None:
    root = ElementTree.fromstring(drawn())
    assert root.tag == f"{SVG}svg"
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'Error of "a" & b by layer'
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "Error"
