"""A web page and a REST API in front of one model: the same path and numbers as `predict`.

app      the application and its addresses: what a request is answered with
contract what the answers hold, for the OpenAPI description
facts    what the page is told of the model, its data set and our rules
guard    who may ask (host, origin, token), and the headers that go with every answer
limits   how much one request, and all of them, may ask for
upload   a multipart body → image files in memory
explaining one image at a time: what its answer rests on
queue    one thread that answers for the crops of all requests together
metrics  what Prometheus reads
samples  simulated cells to try with one click
running  the socket and uvicorn
page/    the web page: plain ES modules, served as they stand, no build step
"""

from leukoscope.serve.app import build_app
from leukoscope.serve.limits import Limits
from leukoscope.serve.running import choose_token, run_server

__all__ = ["Limits", "build_app", "choose_token", "run_server"]
