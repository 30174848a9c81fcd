"""Pages of stored documents as pictures and text, made in the background (requirement B5: reviewers work on the document itself).

Who holds a document asks :func:`request` when it arrives, and :func:`ask_first` when somebody opens a page that isn't
there yet. The worker (``flask previews work``) draws; each content is drawn once, whoever uploads it again. There are no
routes here: the page that shows a picture asks who may read the document.
"""

from kernel.previews.differences import LineChange, PageChange, PageDifference, differences
from kernel.previews.incidents import (
    PROBLEMS,
    PageTooHeavy,
    PageUnreadable,
    PreviewDamaged,
    PreviewEncrypted,
    PreviewLost,
    PreviewTooHeavy,
    PreviewTooLong,
    PreviewUnsupported,
    problem_text,
)
from kernel.previews.pictures import picture_difference
from kernel.previews.quotes import Box, Found, Quotes, find_quote
from kernel.previews.records import (
    MOST_PAGES,
    Preview,
    PreviewPage,
    PreviewStatus,
    ask_first,
    configure,
    image_path,
    listing,
    of,
    page_of,
    pages_of,
    request,
    retry,
)
from kernel.previews.worker import work

__all__ = [
    "MOST_PAGES",
    "PROBLEMS",
    "Box",
    "Found",
    "LineChange",
    "PageChange",
    "PageDifference",
    "PageTooHeavy",
    "PageUnreadable",
    "Preview",
    "PreviewDamaged",
    "PreviewEncrypted",
    "PreviewLost",
    "PreviewPage",
    "PreviewStatus",
    "PreviewTooHeavy",
    "PreviewTooLong",
    "PreviewUnsupported",
    "Quotes",
    "ask_first",
    "configure",
    "differences",
    "find_quote",
    "image_path",
    "listing",
    "of",
    "page_of",
    "pages_of",
    "picture_difference",
    "problem_text",
    "request",
    "retry",
    "work",
]
