package config

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"
)

// topicName is what Kafka takes as the name of a topic.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Validate reports everything that is wrong, joined into one error.
func (c *Config) Validate() error {
	v := validation{}
	v.kafka(&c.Kafka)
	v.redis(&c.Redis)
	v.notEmpty("rules", c.Rules, "the path of a rule file or a folder")
	v.oneOf("clock", c.Clock, "wall", "event")
	v.oneOf("decisions", c.Decisions, "fires", "all", "none")
	v.check(c.CommitInterval >= Duration(time.Millisecond) && c.CommitInterval <= Duration(time.Minute),
		"commit_interval: %s is outside 1ms to 1m", time.Duration(c.CommitInterval))
	v.check(c.MaxAhead >= 0, "max_ahead: must not be negative")
	v.check(c.MaxEventBytes >= 1024 && c.MaxEventBytes <= 16<<20, "max_event_bytes: %d is outside 1024 to 16777216", c.MaxEventBytes)
	v.check(c.CacheBytes >= 1<<20, "cache_bytes: %d is below 1048576", c.CacheBytes)
	v.check(!c.StopAtEnd || c.Clock == "event", "stop_at_end: needs clock: event")
	v.oneOf("on_offset_reset", c.OnOffsetReset, "", "keep", "rebuild", "skip")
	for i, s := range c.Sinks {
		v.check((s.Kafka != nil) != (s.Stdout != nil), "sinks[%d]: name exactly one of kafka, stdout, for example - kafka: {}", i)
	}
	if err := c.Input.Validate(); err != nil {
		v.errs = append(v.errs, fmt.Errorf("input: %w", err))
	}
	v.forward(&c.Forward, &c.Kafka)
	if c.HTTP.Addr != "" {
		v.address("http.addr", c.HTTP.Addr)
	}
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "text", "json")
	return errors.Join(v.errs...)
}

type validation struct{ errs []error }

func (v *validation) check(ok bool, format string, args ...any) {
	if !ok {
		v.errs = append(v.errs, fmt.Errorf(format, args...))
	}
}

func (v *validation) notEmpty(key, value, what string) {
	v.check(value != "", "%s: is empty: give %s", key, what)
}

func (v *validation) oneOf(key, value string, allowed ...string) {
	v.check(slices.Contains(allowed, value), "%s: %q is not one of %s", key, value, strings.Join(allowed, ", "))
}

func (v *validation) address(key string, value Address) {
	_, _, err := net.SplitHostPort(string(value))
	v.check(err == nil, "%s: %q is not host:port", key, value)
}

func (v *validation) addresses(key string, values []Address) {
	v.check(len(values) > 0, "%s: is empty: give at least one host:port", key)
	for i, a := range values {
		v.address(fmt.Sprintf("%s[%d]", key, i), a)
	}
}

func (v *validation) kafka(k *Kafka) {
	v.addresses("kafka.brokers", k.Brokers)
	v.notEmpty("kafka.group", k.Group, "the name of the consumer group")
	v.check(!strings.ContainsAny(k.Group, ";{}\n"), "kafka.group: %q must not contain ; { } or line ends", k.Group)
	v.check(len(k.Topics.Events) > 0, "kafka.topics.events: is empty: name at least one topic")
	names := append(slices.Clone(k.Topics.Events), k.Topics.Sends, k.Topics.Decisions, k.Topics.DeadLetters)
	seen := map[string]bool{}
	for _, n := range names {
		v.check(topicName.MatchString(n), "kafka.topics: %q is not a name that Kafka takes", n)
		v.check(!seen[n], "kafka.topics: %q is used twice: events, sends, decisions and dead_letters must differ", n)
		seen[n] = true
	}
	v.oneOf("kafka.start", k.Start, "earliest", "latest")
	v.check(k.SessionTimeout >= Duration(time.Second), "kafka.session_timeout: %s is below 1s", time.Duration(k.SessionTimeout))
	v.check(k.TransactionTimeout >= Duration(time.Second), "kafka.transaction_timeout: %s is below 1s", time.Duration(k.TransactionTimeout))
	v.check(k.TransactionTimeout < k.SessionTimeout, "kafka.transaction_timeout: %s must be below session_timeout (%s)",
		time.Duration(k.TransactionTimeout), time.Duration(k.SessionTimeout))
	v.tls("kafka.tls", &k.TLS)
	v.oneOf("kafka.sasl.mechanism", k.SASL.Mechanism, "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
	v.check(k.SASL.Mechanism == "" || k.SASL.Username != "", "kafka.sasl.username: is empty")
}

func (v *validation) redis(r *Redis) {
	v.addresses("redis.addrs", r.Addrs)
	v.oneOf("redis.mode", r.Mode, "single", "sentinel", "cluster")
	v.check(r.Mode != "sentinel" || r.Master != "", "redis.master: is empty: mode sentinel needs the name of the master")
	v.check(r.Mode != "single" || len(r.Addrs) <= 1, "redis.addrs: mode single takes one address")
	v.check(r.Mode != "cluster" || r.DB == 0, "redis.db: a cluster has only 0")
	v.check(r.UserBuckets >= 1 && r.UserBuckets <= 1<<20, "redis.user_buckets: %d is outside 1 to 1048576", r.UserBuckets)
	v.tls("redis.tls", &r.TLS)
}

// forward checks what there is; whether it is enough, ForwardReady says.
func (v *validation) forward(f *Forward, k *Kafka) {
	v.notEmpty("forward.group", f.Group, "the name of a consumer group")
	v.check(f.Group != k.Group, "forward.group: is kafka.group as well: choose another, it reads another topic")
	v.check(f.Timeout >= Duration(100*time.Millisecond) && f.Timeout <= Duration(time.Minute), "forward.timeout: %s is outside 100ms to 1m", time.Duration(f.Timeout))
	v.check(f.RetryFor >= 0, "forward.retry_for: must not be negative")
	v.check(f.MaxWait >= Duration(time.Second), "forward.max_wait: %s is below 1s", time.Duration(f.MaxWait))
	v.check(f.MaxRetryAfter >= 0, "forward.max_retry_after: must not be negative")
	v.check(f.PerHost >= 1 && f.PerHost <= 10_000, "forward.per_host: %d is outside 1 to 10000", f.PerHost)
	v.check(f.Window >= 1 && f.Window <= 1_000_000, "forward.window: %d is outside 1 to 1000000", f.Window)
	v.check(topicName.MatchString(f.DeadLetters), "forward.dead_letters: %q is not a name that Kafka takes", f.DeadLetters)
	v.check(f.DeadLetters != k.Topics.Sends, "forward.dead_letters: is the topic of sends: commands would go round")
}

// ForwardReady says what nudged forward lacks.
func (c *Config) ForwardReady() error {
	v := validation{}
	v.check(c.Forward.URL != "" || len(c.Forward.Channels) > 0, "forward.url: is empty, and forward.channels names none: say where the commands go")
	v.check(len(c.Forward.Secrets) > 0, "forward.secrets: is empty: requests are signed; make one: echo whsec_$(openssl rand -base64 32)")
	return errors.Join(v.errs...)
}

func (v *validation) tls(key string, t *TLS) {
	v.check((t.CertFile == "") == (t.KeyFile == ""), "%s: cert_file and key_file go together", key)
	v.check(t.Enabled || *t == TLS{}, "%s: has settings but enabled is not true", key)
}
