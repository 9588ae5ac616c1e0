// Reads and writes Choreo's records with Java's client and Java's Avro, by what is documented and nothing else:
// the frame of values, the packed header (choreo/events/envelope.py), headers in plain text, the partition of a key.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Scanner;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.io.JsonEncoder;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Peer {
    static final ObjectMapper JSON = new ObjectMapper();
    static final HexFormat HEX = HexFormat.of();

    /** partitions COUNT | read BOOTSTRAP TOPIC RECORDS SCHEMAS | write BOOTSTRAP TOPIC SCHEMAS; lines in, lines out. */
    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "partitions" -> partitions(Integer.parseInt(args[1]));
            case "read" -> read(args[1], args[2], Integer.parseInt(args[3]), JSON.readTree(new File(args[4])));
            case "write" -> write(args[1], args[2], JSON.readTree(new File(args[3])));
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    /** For each key in hexadecimal, the partition that Java's producer would pick. */
    static void partitions(int count) {
        for (var lines = new Scanner(System.in); lines.hasNextLine(); )
            System.out.println(BuiltInPartitioner.partitionForKey(HEX.parseHex(lines.nextLine()), count));
    }

    static void read(String bootstrap, String topic, int records, JsonNode schemas) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "isolation.level", "read_committed");
        var bytes = new ByteArrayDeserializer();
        try (var consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            var partitions = new ArrayList<TopicPartition>();
            for (var each : consumer.partitionsFor(topic)) partitions.add(new TopicPartition(topic, each.partition()));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long until = System.nanoTime() + Duration.ofSeconds(30).toNanos();
            for (int seen = 0; seen < records && System.nanoTime() < until; )
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    System.out.println(JSON.writeValueAsString(shown(record, schemas)));
                    seen++;
                }
        }
    }

    static ObjectNode shown(ConsumerRecord<byte[], byte[]> record, JsonNode schemas) throws Exception {
        var shown = JSON.createObjectNode().put("partition", record.partition());
        shown.put("key", record.key() == null ? null : HEX.formatHex(record.key()));
        var headers = shown.putObject("headers");
        for (Header header : record.headers()) {
            if (header.key().equals("choreo")) shown.set("ids", ids(ByteBuffer.wrap(header.value())));
            else headers.put(header.key(), new String(header.value(), "UTF-8"));
        }
        var value = ByteBuffer.wrap(record.value());
        if (value.get(0) != 0) return shown.put("text", new String(record.value(), "UTF-8"));
        value.get();
        var schema = new Schema.Parser().parse(schemas.get(Integer.toString(value.getInt())).toString());
        var decoder = DecoderFactory.get().binaryDecoder(record.value(), 5, record.value().length - 5, null);
        var datum = new GenericDatumReader<Object>(schema).read(null, decoder);
        if (!decoder.isEnd()) throw new IllegalStateException("bytes follow the body");
        var text = new ByteArrayOutputStream();
        JsonEncoder encoder = EncoderFactory.get().jsonEncoder(schema, text);
        new GenericDatumWriter<Object>(schema).write(datum, encoder);
        encoder.flush();
        shown.put("type", schema.getFullName());
        shown.set("event", JSON.readTree(text.toByteArray()));
        return shown;
    }

    /** The packed header, version 1: big endian, as envelope.py lays it out. */
    static ObjectNode ids(ByteBuffer in) throws Exception {
        var ids = JSON.createObjectNode();
        if (in.get() != 1) throw new IllegalStateException("a later version");
        int flags = in.get();
        ids.put("event_id", uuid(in)).put("at", in.getLong());
        if ((flags & 1) != 0) ids.put("causation_id", uuid(in));
        if ((flags & 2) != 0) ids.put("request_id", uuid(in));
        ids.put("attempt", (flags & 4) != 0 ? Short.toUnsignedInt(in.getShort()) : 1);
        if ((flags & 8) != 0) {
            var saga = ids.putObject("saga").put("name", text(in));
            saga.put("version", Integer.toUnsignedLong(in.getInt())).put("step", text(in));
        }
        if ((flags & 16) != 0) ids.put("key_id", text(in));
        ids.put("cancelled", (flags & 32) != 0);
        var rest = new byte[in.remaining()];
        in.get(rest);
        return ids.put("correlation_id", new String(rest, "UTF-8"));
    }

    static String uuid(ByteBuffer in) {
        return new UUID(in.getLong(), in.getLong()).toString();
    }

    static String text(ByteBuffer in) throws Exception {
        int size = Short.toUnsignedInt(in.getShort());
        if (size == 0xFFFF) return null;
        var text = new byte[size];
        in.get(text);
        return new String(text, "UTF-8");
    }

    /** Each line is a record to write: key, then event and schema id, or text; ids (packed), headers (text). */
    static void write(String bootstrap, String topic, JsonNode schemas) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "acks", "all");
        var bytes = new ByteArraySerializer();
        try (var producer = new KafkaProducer<>(settings, bytes, bytes)) {
            for (var lines = new Scanner(System.in, "UTF-8"); lines.hasNextLine(); ) {
                JsonNode line = JSON.readTree(lines.nextLine());
                byte[] key = HEX.parseHex(line.get("key").asText());
                var record = new ProducerRecord<>(topic, key, value(line, schemas));
                for (var header : (Iterable<Map.Entry<String, JsonNode>>) line.path("headers")::fields)
                    record.headers().add(header.getKey(), header.getValue().asText().getBytes("UTF-8"));
                if (line.has("ids")) record.headers().add("choreo", packed(line.get("ids")));
                System.out.println(producer.send(record).get().partition());
            }
        }
    }

    static byte[] value(JsonNode line, JsonNode schemas) throws Exception {
        if (line.has("text")) return line.get("text").asText().getBytes("UTF-8");
        int id = line.get("schema").asInt();
        var schema = new Schema.Parser().parse(schemas.get(Integer.toString(id)).toString());
        var decoder = DecoderFactory.get().jsonDecoder(schema, line.get("event").toString());
        var datum = new GenericDatumReader<Object>(schema).read(null, decoder);
        var out = new ByteArrayOutputStream();
        out.write(ByteBuffer.allocate(5).put((byte) 0).putInt(id).array());
        var encoder = EncoderFactory.get().binaryEncoder(out, null);
        new GenericDatumWriter<Object>(schema).write(datum, encoder);
        encoder.flush();
        return out.toByteArray();
    }

    /** The shortest packed header: no flags, or that of a cause. */
    static byte[] packed(JsonNode ids) throws Exception {
        byte[] story = ids.get("correlation_id").asText().getBytes("UTF-8");
        List<JsonNode> causes = ids.has("causation_id") ? List.of(ids.get("causation_id")) : List.of();
        var out = ByteBuffer.allocate(26 + 16 * causes.size() + story.length);
        out.put((byte) 1).put((byte) causes.size());
        put(out, ids.get("event_id")).putLong(ids.get("at").asLong());
        for (JsonNode cause : causes) put(out, cause);
        return out.put(story).array();
    }

    static ByteBuffer put(ByteBuffer out, JsonNode id) {
        UUID uuid = UUID.fromString(id.asText());
        return out.putLong(uuid.getMostSignificantBits()).putLong(uuid.getLeastSignificantBits());
    }
}
