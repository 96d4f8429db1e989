"""OpenStack Swift in one process: a disk's three servers and the proxy, with rings of one device.

Usage: swift-servers.py FOLDER   FOLDER has swift.conf, and a .conf of each server with its port.
"""
import os
import sys
from configparser import RawConfigParser

folder = sys.argv[1]
import swift.common.utils as utils

# The programs know /etc/swift alone.
utils.SWIFT_CONF_FILE = os.path.join(folder, 'swift.conf')

import eventlet
from eventlet import listen, wsgi
from swift.common.ring import RingBuilder
from swift.common.wsgi import NullLogger, SwiftHttpProtocol, loadapp

utils.eventlet_monkey_patch()
utils.validate_hash_conf()
KINDS = ('account', 'container', 'object')


def port_of(name):
    settings = RawConfigParser()
    settings.read(os.path.join(folder, name + '.conf'))
    return settings.getint('DEFAULT', 'bind_port')


for kind in KINDS:
    builder = RingBuilder(4, 1, 1)
    place = {'ip': '127.0.0.1', 'port': port_of(kind), 'replication_ip': '127.0.0.1', 'replication_port': port_of(kind)}
    builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'weight': 1, 'device': 'disk', 'meta': '', **place})
    builder.rebalance(seed=1)
    builder.get_ring().save(os.path.join(folder, kind + '.ring.gz'))

servers = []
for name in KINDS + ('proxy',):
    app = loadapp(os.path.join(folder, name + '.conf'), global_conf={'log_name': name})
    socket = listen(('127.0.0.1', port_of(name)))
    # The AWS SDK reads ETag, and not Etag.
    options = {'protocol': SwiftHttpProtocol, 'capitalize_response_headers': False}
    servers.append(eventlet.spawn(wsgi.server, socket, app, NullLogger(), **options))
print('ready', flush=True)
for server in servers:
    server.wait()
