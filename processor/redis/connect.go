package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Endpoint says where Redis is and how to get in.
type Endpoint struct {
	// Addrs are host:port: of the one Redis, of the Sentinels if Master is set,
	// of some nodes if Cluster is.
	Addrs   []string
	Master  string // the name under which Sentinel knows the master
	Cluster bool
	DB      int // not in a Cluster

	Username, Password                 string
	SentinelUsername, SentinelPassword string
	TLS                                *tls.Config // nil: none

	DialTimeout time.Duration // 0: 5 s
	// CallTimeout bounds each wait for Redis to take or to send bytes. 0: 5 s.
	// A batch of 50,000 users takes Redis about 0.1 s.
	CallTimeout time.Duration
	// PoolSize is the most connections to a node at a time; each partition that
	// is busy takes one. 0: ten for each CPU.
	PoolSize int
}

// Connect makes a client as a Store needs it: reads go to the master, and nothing
// is repeated behind the caller's back, who repeats calls himself and says so.
// Nothing is sent before the first call.
func Connect(e Endpoint) (goredis.UniversalClient, error) {
	switch {
	case len(e.Addrs) == 0:
		return nil, errors.New("redis: no address is given: set at least one host:port")
	case e.Cluster && e.Master != "":
		return nil, fmt.Errorf("redis: both cluster and the Sentinel master %q are given: a Cluster needs no Sentinel, leave one of them out", e.Master)
	case e.Cluster && e.DB != 0:
		return nil, fmt.Errorf("redis: database %d is given with cluster: a Cluster has only database 0", e.DB)
	case !e.Cluster && e.Master == "" && len(e.Addrs) > 1:
		return nil, fmt.Errorf("redis: %d addresses are given (%s) but neither cluster nor the name of a Sentinel master: set one of them, or give one address", len(e.Addrs), strings.Join(e.Addrs, ", "))
	}
	return goredis.NewUniversalClient(&goredis.UniversalOptions{
		Addrs:            e.Addrs,
		MasterName:       e.Master,
		IsClusterMode:    e.Cluster,
		DB:               e.DB,
		Username:         e.Username,
		Password:         e.Password,
		SentinelUsername: e.SentinelUsername,
		SentinelPassword: e.SentinelPassword,
		TLSConfig:        e.TLS,
		ClientName:       "nudged",
		DialTimeout:      e.DialTimeout,
		ReadTimeout:      e.CallTimeout,
		WriteTimeout:     e.CallTimeout,
		PoolSize:         e.PoolSize,
		// A batch is one command of megabytes.
		WriteBufferSize:       128 << 10,
		ContextTimeoutEnabled: true,
		MaxRetries:            -1,
		DialerRetries:         1,
		// They look up names of hosts, and only Redis Enterprise sends them.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}), nil
}

// describe names the Redis behind a client.
func describe(client goredis.UniversalClient) string {
	switch c := client.(type) {
	case *goredis.Client:
		return c.Options().Addr
	case *goredis.ClusterClient:
		return "cluster " + strings.Join(c.Options().Addrs, ",")
	}
	return fmt.Sprintf("%T", client)
}

// unfit says why a client must not be used.
func unfit(client goredis.UniversalClient) error {
	switch c := client.(type) {
	case *goredis.Client:
		// A transaction that is repeated behind our back is no longer guarded
		// by the WATCH before it.
		if c.Options().MaxRetries > 0 {
			return errors.New("redis: the client repeats calls on its own: set MaxRetries to -1")
		}
	case *goredis.ClusterClient:
		if o := c.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return errors.New("redis: the client reads from replicas, which may be behind: turn off read-only and routing by latency or at random")
		}
	}
	return nil
}
