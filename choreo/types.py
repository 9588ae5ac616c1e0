"""Field and wire types that only some events need."""

from choreo.events.avro_wire import Avro as Avro
from choreo.events.cloudevents import CloudEvents as CloudEvents
from choreo.events.fields import AsUnion as AsUnion
from choreo.events.fields import Fixed as Fixed
from choreo.events.fields import Float32 as Float32
from choreo.events.fields import Formerly as Formerly
from choreo.events.fields import Int32 as Int32
from choreo.events.fields import Int64 as Int64
from choreo.events.fields import LocalMicros as LocalMicros
from choreo.events.fields import LocalMillis as LocalMillis
from choreo.events.fields import Millis as Millis
from choreo.events.fields import TimeMillis as TimeMillis
from choreo.events.wire import Bytes as Bytes
from choreo.events.wire import Json as Json
from choreo.events.wire import Wire as Wire
from choreo.service.calls import blocking as blocking
