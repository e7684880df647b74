// Package config reads nudged.yaml: defaults, the file, then NUDGED_…
// environment variables, and a validation that reports everything at once.
package config

import (
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/nudged/nudged/internal/input"
)

// Config is the whole configuration. Every field has a default that works for a
// single machine; docs/operations.md describes each.
type Config struct {
	Kafka Kafka `yaml:"kafka"`
	Redis Redis `yaml:"redis"`

	// Rules is a rule file, or a folder of rule files read in name order.
	Rules string `yaml:"rules"`
	// Clock is wall (live, default) or event (history).
	Clock string `yaml:"clock"`
	// StopAtEnd reads to the present end of each partition, commits, and exits.
	StopAtEnd bool `yaml:"stop_at_end"`
	// OnOffsetReset answers partitions that have stopped because the group's offset
	// is not where nudged left it: keep, rebuild or skip; empty (default): none.
	OnOffsetReset string `yaml:"on_offset_reset"`
	// AcceptStateLoss lets partitions go on that need what retention has removed.
	AcceptStateLoss bool `yaml:"accept_state_loss"`
	// CommitInterval is how long progress without outgoing records may stay
	// uncommitted. Records go out at once. Default 100ms.
	CommitInterval Duration `yaml:"commit_interval"`
	// Decisions is fires (default), all or none.
	Decisions string `yaml:"decisions"`
	// MaxAhead is how far an event's time may be ahead of its record's
	// timestamp; what is further ahead is pulled back to it. Default 5m.
	MaxAhead Duration `yaml:"max_ahead"`
	// MaxEventBytes bounds the value of an input record; a larger one is a dead
	// letter. Default 262144.
	MaxEventBytes int `yaml:"max_event_bytes"`
	// CacheBytes bounds the states kept in memory, over all partitions. Default
	// 134217728.
	CacheBytes int `yaml:"cache_bytes"`
	// Input maps the fields of events that are not in nudged's own form.
	Input input.Mapping `yaml:"input"`
	// Sinks take commands: kafka is always there, stdout may be added.
	Sinks []Sink `yaml:"sinks"`
	// Forward is for nudged forward.
	Forward Forward `yaml:"forward"`
	HTTP    HTTP    `yaml:"http"`
	Log     Log     `yaml:"log"`
}

// Kafka says how to reach Kafka.
type Kafka struct {
	Brokers []Address `yaml:"brokers"`
	Group   string    `yaml:"group"`
	Topics  Topics    `yaml:"topics"`
	// Start is where a new group begins: earliest (default) or latest.
	Start string `yaml:"start"`
	// TransactionalID must differ from process to process. Default: the group,
	// the host's name and a random part.
	TransactionalID string `yaml:"transactional_id"`
	// SessionTimeout is how long the group waits for a silent process. Default
	// 15s.
	SessionTimeout Duration `yaml:"session_timeout"`
	// TransactionTimeout is how long the next owner of a killed process waits
	// for its open transaction; below SessionTimeout. Default 10s.
	TransactionTimeout Duration `yaml:"transaction_timeout"`
	TLS                TLS      `yaml:"tls"`
	SASL               SASL     `yaml:"sasl"`
}

// Topics names the topics.
type Topics struct {
	// Events are the input topics. State is kept for each topic apart: a user's
	// events belong into one topic.
	Events      []string `yaml:"events"`
	Sends       string   `yaml:"sends"`
	Decisions   string   `yaml:"decisions"`
	DeadLetters string   `yaml:"dead_letters"`
}

// TLS turns on encryption and says whom to trust.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CAFile     string `yaml:"ca_file"`     // default: the system's
	CertFile   string `yaml:"cert_file"`   // client certificate
	KeyFile    string `yaml:"key_file"`    // its key
	ServerName string `yaml:"server_name"` // default: the host's name
}

// SASL says who we are.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: none.
	Mechanism string `yaml:"mechanism"`
	Username  string `yaml:"username"`
	Password  string `yaml:"password" secret:"true"`
	// PasswordFile holds the password instead, read at the start; a line end
	// after it does not count.
	PasswordFile string `yaml:"password_file"`
}

// Redis says how to reach Redis.
type Redis struct {
	Addrs []Address `yaml:"addrs"`
	// Mode is single (default), sentinel or cluster.
	Mode             string `yaml:"mode"`
	Master           string `yaml:"master"` // sentinel: the name of the master
	Username         string `yaml:"username"`
	Password         string `yaml:"password" secret:"true"`
	SentinelUsername string `yaml:"sentinel_username"` // sentinel: that of the Sentinels, not of Redis
	SentinelPassword string `yaml:"sentinel_password" secret:"true"`
	// The files hold the passwords instead, as with kafka.sasl.
	PasswordFile         string `yaml:"password_file"`
	SentinelPasswordFile string `yaml:"sentinel_password_file"`
	DB                   int    `yaml:"db"`
	TLS                  TLS    `yaml:"tls"`
	// UserBuckets is over how many hashes the users of a partition are spread;
	// fixed for a partition once it exists. Default 1024.
	UserBuckets int `yaml:"user_buckets"`
}

// Sink is one entry of sinks: exactly one of its keys.
type Sink struct {
	Kafka  *struct{} `yaml:"kafka,omitempty"`
	Stdout *struct{} `yaml:"stdout,omitempty"`
}

// Forward says where nudged forward posts the commands of the send topic.
// docs/webhook.md describes the requests.
type Forward struct {
	// Group is the consumer group, apart from that of nudged run. Default
	// nudged-forward.
	Group string `yaml:"group"`
	// URL takes the commands of all channels that Channels does not name; empty:
	// those are passed over.
	URL      string            `yaml:"url"`
	Channels map[string]string `yaml:"channels"`
	// Secrets sign the requests: whsec_ and base64 of 24 to 64 bytes, each.
	Secrets []string `yaml:"secrets" secret:"true"`
	// Headers go with each request.
	Headers map[string]string `yaml:"headers" secret:"true"`
	// Timeout bounds one request, 100ms to 1m. Default 10s.
	Timeout Duration `yaml:"timeout"`
	// RetryFor is how long a command is tried before it is a dead letter. Default
	// 1h.
	RetryFor Duration `yaml:"retry_for"`
	// MaxWait bounds the time between two tries. Default 1m.
	MaxWait Duration `yaml:"max_wait"`
	// MaxRetryAfter bounds what a receiver may ask for by Retry-After. Default
	// 10m.
	MaxRetryAfter Duration `yaml:"max_retry_after"`
	// PerHost bounds the requests to one host that are under way, 1 to 10000.
	// Default 16.
	PerHost int `yaml:"per_host"`
	// Window is how many commands of a partition may be under way, 1 to 1000000.
	// Default 1000.
	Window int `yaml:"window"`
	// DeadLetters is the topic for commands that are not taken. Default
	// forward-dead-letters.
	DeadLetters string `yaml:"dead_letters"`
}

// HTTP says where to answer /livez and /readyz; an empty address: nowhere.
type HTTP struct {
	Addr Address `yaml:"addr"`
}

// Log says what is logged.
type Log struct {
	Level  string `yaml:"level"`  // debug, info (default), warn, error
	Format string `yaml:"format"` // text (default) or json
}

// Address is host:port.
type Address string

// UnmarshalYAML reads an address as it is written. Inside { } the parser takes
// host:port for a key and its value.
func (a *Address) UnmarshalYAML(text []byte) error {
	plain := strings.ReplaceAll(strings.TrimSpace(string(text)), ": ", ":")
	if strings.HasPrefix(plain, `"`) || strings.HasPrefix(plain, "'") {
		return yaml.Unmarshal(text, (*string)(a))
	}
	*a = Address(plain)
	return nil
}

// Strings returns addresses as libraries take them.
func Strings(as []Address) []string {
	out := make([]string, len(as))
	for i, a := range as {
		out[i] = string(a)
	}
	return out
}

// Default is the configuration before file and environment.
func Default() Config {
	return Config{
		Kafka: Kafka{
			Brokers: []Address{"127.0.0.1:9092"}, Group: "nudged",
			Topics: Topics{Events: []string{"events"}, Sends: "sends", Decisions: "decisions", DeadLetters: "dead-letters"},
			Start:  "earliest", SessionTimeout: Duration(15 * time.Second), TransactionTimeout: Duration(10 * time.Second),
		},
		Redis: Redis{Addrs: []Address{"127.0.0.1:6379"}, Mode: "single", UserBuckets: 1024},
		Rules: "./rules", Clock: "wall", CommitInterval: Duration(100 * time.Millisecond), Decisions: "fires",
		Forward: Forward{
			Group: "nudged-forward", Timeout: Duration(10 * time.Second), RetryFor: Duration(time.Hour), MaxWait: Duration(time.Minute),
			MaxRetryAfter: Duration(10 * time.Minute), PerHost: 16, Window: 1000, DeadLetters: "forward-dead-letters",
		},
		MaxAhead: Duration(5 * time.Minute), MaxEventBytes: 256 << 10, CacheBytes: 128 << 20,
		HTTP: HTTP{Addr: "127.0.0.1:8080"}, Log: Log{Level: "info", Format: "text"},
	}
}
