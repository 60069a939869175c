"""A web page and a REST API in front of one model: the same path and numbers as `predict`.

app      the application and its routes
contract schemas of the responses, for the OpenAPI description
facts    facts of the model, its data set and our rules, for the page
access   the reverse proxy in front: prefix, names and origins
guard    access control (host, origin, token), and the headers of every response
limits   limits of one request, and of all together
upload   a multipart body → image files in memory
explaining explanations, one image at a time
queue    one thread that predicts the crops of all requests together
memory   what the server gives back of its memory
metrics  metrics for Prometheus
samples  simulated cells to try with one click
running  the socket and uvicorn
page/    the web page: plain ES modules, served as they are, no build step
"""

from leukoscope.serve.access import Proxy, read_proxy
from leukoscope.serve.app import build_app
from leukoscope.serve.limits import Limits
from leukoscope.serve.running import choose_token, run_server

__all__ = ["Limits", "Proxy", "build_app", "choose_token", "read_proxy", "run_server"]
