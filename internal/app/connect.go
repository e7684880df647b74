package app

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	goredis "github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/processor/redis"
)

// KafkaOptions turns TLS and SASL settings into client options, and names the
// brokers.
func KafkaOptions(k *config.Kafka) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(config.Strings(k.Brokers)...)}
	t, err := tlsConfig(&k.TLS)
	if err != nil {
		return nil, fmt.Errorf("kafka.tls: %w", err)
	}
	if t != nil {
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	var m sasl.Mechanism
	switch k.SASL.Mechanism {
	case "PLAIN":
		m = plain.Auth{User: k.SASL.Username, Pass: k.SASL.Password}.AsMechanism()
	case "SCRAM-SHA-256":
		m = scram.Auth{User: k.SASL.Username, Pass: k.SASL.Password}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		m = scram.Auth{User: k.SASL.Username, Pass: k.SASL.Password}.AsSha512Mechanism()
	}
	if m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

func redisEndpoint(r *config.Redis) (redis.Endpoint, error) {
	t, err := tlsConfig(&r.TLS)
	if err != nil {
		return redis.Endpoint{}, fmt.Errorf("redis.tls: %w", err)
	}
	e := redis.Endpoint{
		Addrs: config.Strings(r.Addrs), Cluster: r.Mode == "cluster", DB: r.DB,
		Username: r.Username, Password: r.Password, SentinelUsername: r.SentinelUsername, SentinelPassword: r.SentinelPassword, TLS: t,
	}
	if r.Mode == "sentinel" {
		e.Master = r.Master
	}
	return e, nil
}

// openStore connects to Redis, without asking it for anything. Who closes the client
// closes both.
func openStore(c *config.Config) (goredis.UniversalClient, *redis.Store, error) {
	endpoint, err := redisEndpoint(&c.Redis)
	if err != nil {
		return nil, nil, err
	}
	client, err := redis.Connect(endpoint)
	if err != nil {
		return nil, nil, err
	}
	store, err := redis.New(client, redis.Options{Group: c.Kafka.Group, UserBuckets: c.Redis.UserBuckets})
	if err != nil {
		_ = client.Close() // nothing was written
		return nil, nil, err
	}
	return client, store, nil
}

// tlsConfig returns nil if TLS is not enabled.
func tlsConfig(t *config.TLS) (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cert_file: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
