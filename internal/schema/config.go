package schema

import (
	"reflect"
	"strings"

	"github.com/nudged/nudged/internal/config"
)

// configDocs describe every key of the configuration by its path; a * stands for
// each item of a list.
var configDocs = map[string]string{
	"kafka":                        "how to reach Kafka",
	"kafka.brokers":                "host:port of brokers",
	"kafka.group":                  "consumer group; names the state in Redis too",
	"kafka.topics":                 "the topics",
	"kafka.topics.events":          "input topics; state is kept for each apart",
	"kafka.topics.sends":           "send commands go there",
	"kafka.topics.decisions":       "decisions go there",
	"kafka.topics.dead_letters":    "what is no event goes there",
	"kafka.start":                  "where a new group begins",
	"kafka.transactional_id":       "must differ from process to process; default: the group, the host and a random part",
	"kafka.session_timeout":        "after this a silent process loses its partitions",
	"kafka.transaction_timeout":    "how long the next owner of a killed process waits at most; below session_timeout",
	"kafka.tls":                    "encryption, and whom to trust",
	"kafka.sasl":                   "who we are",
	"kafka.sasl.mechanism":         "empty: none",
	"kafka.sasl.username":          "its user",
	"kafka.sasl.password":          "its password",
	"redis":                        "how to reach Redis",
	"redis.addrs":                  "host:port; several for sentinel and cluster",
	"redis.mode":                   "what is at the addresses",
	"redis.master":                 "sentinel: the name of the master",
	"redis.username":               "user of Redis",
	"redis.password":               "its password",
	"redis.sentinel_username":      "user of the sentinels",
	"redis.sentinel_password":      "password of the sentinels",
	"kafka.sasl.password_file":     "file that holds the password instead",
	"redis.password_file":          "file that holds the password instead",
	"redis.sentinel_password_file": "file that holds the password of the sentinels instead",
	"redis.db":                     "number of the database",
	"redis.tls":                    "encryption, and whom to trust",
	"redis.user_buckets":           "hashes over which the users of a partition are spread; fixed once the partition exists",
	"rules":                        "a rule file, or a folder of rule files read in name order",
	"clock":                        "wall: live; event: history",
	"stop_at_end":                  "read to the present end of each partition, commit, and exit; with clock: event",
	"commit_interval":              "how long progress without outgoing records may stay uncommitted",
	"decisions":                    "which decisions are written",
	"max_ahead":                    "how far an event's time may be ahead of its record's timestamp",
	"max_event_bytes":              "a larger value is a dead letter",
	"cache_bytes":                  "states in memory, over all partitions",
	"input":                        "maps the fields of events that are not in nudged's own form",
	"input.format":                 "the form of the events",
	"input.fields":                 "where a record holds the four fields that every event has",
	"input.fields.user":            "the field of the user id; default user",
	"input.fields.time":            "the field of the time; default time",
	"input.fields.type":            "the field of the type; default type",
	"input.fields.id":              "the field of the id; empty: derived from content and position",
	"input.time_format":            "a Go layout; default RFC 3339 and Unix times",
	"input.types":                  "renames types: theirs to ours",
	"sinks":                        "what takes commands beside Kafka",
	"sinks.*.kafka":                "the send topic, which is always there",
	"sinks.*.stdout":               "prints commands",
	"on_offset_reset":              "the answer to offsets that somebody has moved",
	"accept_state_loss":            "go on although the input does not reach back to the beginning of the state",
	"input.registry":               "the schema registry, with format registry",
	"input.registry.urls":          "its nodes, http or https",
	"input.registry.username":      "who we are there",
	"input.registry.password":      "its password",
	"input.registry.ca_file":       "certificates to trust; default: the system's",
	"forward":                      "where nudged forward posts the commands of the send topic",
	"forward.group":                "consumer group, apart from that of nudged run",
	"forward.url":                  "takes the commands of all channels that channels does not name",
	"forward.channels":             "a URL for each channel",
	"forward.secrets":              "sign the requests: whsec_ and base64",
	"forward.headers":              "go with each request",
	"forward.timeout":              "bounds one request",
	"forward.retry_for":            "how long a command is tried before it is a dead letter",
	"forward.max_wait":             "bounds the time between two tries",
	"forward.max_retry_after":      "bounds what a receiver may ask for by Retry-After",
	"forward.per_host":             "requests to one host that are under way at most",
	"forward.window":               "commands of a partition that are under way at most",
	"forward.dead_letters":         "topic for commands that are not taken",
	"http":                         "where health is told",
	"http.addr":                    "host:port; empty: nowhere",
	"log":                          "what is logged",
	"log.level":                    "from which level on",
	"log.format":                   "how",
	"*.tls.enabled":                "turns it on",
	"*.tls.ca_file":                "certificates to trust; default: the system's",
	"*.tls.cert_file":              "client certificate",
	"*.tls.key_file":               "its key",
	"*.tls.server_name":            "the name on the server's certificate; default: the host's",
}

// configWords are the keys that take one of a few words.
var configWords = map[string][]string{
	"kafka.start": {"earliest", "latest"}, "kafka.sasl.mechanism": {"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"},
	"redis.mode": {"single", "sentinel", "cluster"}, "clock": {"wall", "event"}, "decisions": {"fires", "all", "none"},
	"on_offset_reset": {"", "keep", "rebuild", "skip"}, "log.level": {"debug", "info", "warn", "error"}, "log.format": {"text", "json"},
}

// configuration is the schema of nudged.yaml, made of the struct that it is read
// into.
func configuration() object { return configType(reflect.TypeFor[config.Config](), "") }

func configDoc(path string) string {
	if doc, ok := configDocs[path]; ok {
		return doc
	}
	if i := strings.Index(path, ".tls."); i >= 0 {
		return configDocs["*"+path[i:]]
	}
	return ""
}

func configType(t reflect.Type, path string) object {
	switch {
	case configWords[path] != nil:
		return object{"enum": configWords[path]}
	case t == reflect.TypeFor[config.Duration]():
		return duration()
	case t == reflect.TypeFor[config.Address]():
		return object{"type": "string", "pattern": `^$|:[0-9]+$`}
	}
	switch t.Kind() {
	case reflect.Struct:
		properties := object{}
		for i := range t.NumField() {
			f := t.Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if key == "" || key == "-" {
				continue
			}
			below := strings.TrimPrefix(path+"."+key, ".")
			properties[key] = described(configType(f.Type, below), configDoc(below))
		}
		return closed("", properties)
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.Struct {
			return object{"type": []string{"object", "null"}, "additionalProperties": false}
		}
		return configType(t.Elem(), path)
	case reflect.Slice:
		o := list(configType(t.Elem(), path+".*"))
		if path == "sinks" {
			o["items"].(object)["minProperties"], o["items"].(object)["maxProperties"] = 1, 1
		}
		return o
	case reflect.Map:
		return object{"type": "object", "additionalProperties": configType(t.Elem(), path+".*")}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer", "minimum": 0}
	}
	return object{"type": "string"}
}
