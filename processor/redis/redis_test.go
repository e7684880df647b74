package redis_test

import (
	"context"
	"crypto/rand"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/internal/embedded"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
	"github.com/nudged/nudged/processor/storetest"
)

// embeddedClient is a client of a Redis inside this process.
func embeddedClient(t testing.TB) goredis.UniversalClient {
	t.Helper()
	address, stop, err := embedded.Redis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return connect(t, redis.Endpoint{Addrs: []string{address}})
}

// realClient is a client of the real Redis that NUDGED_TEST_REDIS names.
func realClient(t testing.TB) goredis.UniversalClient {
	t.Helper()
	address := os.Getenv("NUDGED_TEST_REDIS")
	if address == "" {
		leaveOut(t, "NUDGED_TEST_REDIS (host:port) names no real Redis")
	}
	return connect(t, redis.Endpoint{Addrs: []string{address}})
}

// leaveOut skips a test that needs a real service, and says so, or fails where
// those are required.
func leaveOut(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("NUDGED_REQUIRE_SERVICES") == "1" {
		t.Fatalf("%s, and NUDGED_REQUIRE_SERVICES=1 asks for it; deploy/local/with-services brings it up", why)
	}
	t.Skipf("LEFT OUT: %s; deploy/local/with-services brings it up", why)
}

func connect(t testing.TB, e redis.Endpoint) goredis.UniversalClient {
	t.Helper()
	client, err := redis.Connect(e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// open returns a store of a group that nobody else has, and removes what it leaves.
func open(t testing.TB, client goredis.UniversalClient, buckets int) *store {
	t.Helper()
	// Characters that mean something to SCAN must not reach other groups' keys.
	group := "test-*[a]?\\:" + rand.Text()
	s, err := redis.New(client, redis.Options{Group: group, UserBuckets: buckets})
	if err != nil {
		t.Fatal(err)
	}
	st := &store{Store: s, client: client, group: group, prefix: "nudged:{" + group + ":"}
	t.Cleanup(func() { st.removeAll(t) })
	return st
}

// store is a Store whose keys the test can look at.
type store struct {
	*redis.Store
	client goredis.UniversalClient
	group  string
	prefix string // of all its keys
}

var _ storetest.Rewinder = (*store)(nil)

// keys lists all keys of the group.
func (s *store) keys(t storetest.TB) []string {
	t.Helper()
	var mu sync.Mutex
	found := map[string]bool{}
	scan := func(ctx context.Context, node *goredis.Client) error {
		it := node.Scan(ctx, 0, "nudged:*", 1000).Iterator()
		for it.Next(ctx) {
			if k := it.Val(); strings.HasPrefix(k, s.prefix) {
				mu.Lock()
				found[k] = true
				mu.Unlock()
			}
		}
		return it.Err()
	}
	var err error
	switch c := s.client.(type) {
	case *goredis.ClusterClient:
		err = c.ForEachMaster(context.Background(), scan)
	case *goredis.Client:
		err = scan(context.Background(), c)
	}
	if err != nil {
		t.Fatalf("SCAN: %v", err)
	}
	return slices.Collect(maps.Keys(found))
}

// version is that of the header of tp.
func (s *store) version(t testing.TB) int64 {
	t.Helper()
	_, version, err := s.Fence(t.Context(), tp)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// removeAll removes all keys of the group.
func (s *store) removeAll(t storetest.TB) {
	t.Helper()
	ctx := context.Background()
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for _, k := range s.keys(t) {
			p.Del(ctx, k) // each by itself: in a Cluster they lie apart
		}
		return nil
	})
	if err != nil {
		t.Fatalf("removing all keys: %v", err)
	}
}

// content reads all keys of the group: hashes, lists, sets.
func (s *store) content(t storetest.TB) map[string]any {
	t.Helper()
	ctx := context.Background()
	content := map[string]any{}
	for _, k := range s.keys(t) {
		kind, err := s.client.Type(ctx, k).Result()
		if err == nil {
			switch kind {
			case "hash":
				content[k], err = s.client.HGetAll(ctx, k).Result()
			case "list":
				content[k], err = s.client.LRange(ctx, k, 0, -1).Result()
			case "set":
				content[k], err = s.client.SMembersMap(ctx, k).Result()
			default:
				t.Fatalf("key %q is a %s", k, kind)
			}
		}
		if err != nil {
			t.Fatalf("reading key %q: %v", k, err)
		}
	}
	return content
}

// same compares contents of groups, whose names differ.
func same(t *testing.T, what string, got, want map[string]any) {
	t.Helper()
	if d := cmp.Diff(anonymous(want), anonymous(got)); d != "" {
		t.Fatalf("%s: - want, + got\n%s", what, d)
	}
}

func anonymous(content map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range content {
		out[k[strings.Index(k, "clicks"):]] = v
	}
	return out
}

// Mark implements storetest.Rewinder with copies of all keys of the group.
func (s *store) Mark(t storetest.TB) (rewind func()) {
	t.Helper()
	ctx := context.Background()
	content := s.content(t)
	return func() {
		s.removeAll(t)
		_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for k, v := range content {
				switch v := v.(type) {
				case map[string]string:
					p.HSet(ctx, k, v)
				case []string:
					p.RPush(ctx, k, v)
				case map[string]struct{}:
					for m := range v {
						p.SAdd(ctx, k, m)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("setting back: %v", err)
		}
	}
}

// suite runs the conformance suite with user buckets of a number and, from users
// states on, in transactions.
func suite(t *testing.T, client goredis.UniversalClient, buckets, users int) {
	storetest.Run(t, func(t *testing.T) processor.Store {
		s := open(t, client, buckets)
		redis.SetLargeBatch(s.Store, users)
		return s
	})
}

const (
	always = 0       // in a transaction
	never  = 1 << 30 // in a transaction: by the script alone
)

func TestConformanceEmbedded(t *testing.T) {
	client := embeddedClient(t)
	t.Run("Script", func(t *testing.T) { suite(t, client, 8, never) })
	t.Run("Transaction", func(t *testing.T) { suite(t, client, 8, always) })
}

func TestConformanceReal(t *testing.T) {
	client := realClient(t)
	t.Run("Default", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) processor.Store { return open(t, client, 0) })
	})
	// One hash for all users makes for calls with more arguments than Lua can
	// unpack.
	t.Run("Script", func(t *testing.T) { suite(t, client, 1, never) })
}
