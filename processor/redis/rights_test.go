package redis_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor/redis"
)

// deployed are the rules for the user nudged in deploy/redis/users.acl, as ACL
// SETUSER takes them.
func deployed(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/redis/users.acl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 2 && words[1] == "nudged" {
			return slices.DeleteFunc(words[2:], func(w string) bool { return strings.HasPrefix(w, "#") })
		}
	}
	t.Fatal("users.acl has no user nudged")
	return nil
}

// The deployed rights are enough; each command that is taken away is named, and no
// other. Asking leaves nothing behind, also where it is allowed.
func TestCheckRights(t *testing.T) {
	admin := ownServer(t)
	s := owned(t, admin)
	before := s.content(t)
	user := func(t *testing.T, rules ...string) *goredis.Client {
		t.Helper()
		args := []any{"ACL", "SETUSER", "limited", "reset"}
		for _, r := range append(append(deployed(t), ">secret"), rules...) {
			args = append(args, r)
		}
		do(t, admin, args...)
		return connect(t, redis.Endpoint{Addrs: []string{admin.Options().Addr}, Username: "limited", Password: "secret"}).(*goredis.Client)
	}
	for name, tc := range map[string]struct{ rules, want []string }{
		"deployed":     {nil, nil},
		"no scan":      {[]string{"-scan"}, []string{"scan"}},
		"no writes":    {[]string{"-rpush", "-hset", "-unlink"}, []string{"hset", "rpush", "unlink"}},
		"no config":    {[]string{"-config|get"}, []string{"config|get"}},
		"no scripts":   {[]string{"-evalsha"}, []string{"evalsha"}},
		"no watch":     {[]string{"-watch"}, []string{"watch"}},
		"no multi":     {[]string{"-multi"}, []string{"multi"}},
		"no exec":      {[]string{"-exec"}, []string{"exec"}},
		"no list read": {[]string{"-llen", "-lrange"}, []string{"lrange", "llen"}},
	} {
		t.Run(name, func(t *testing.T) {
			denied, err := redis.CheckRights(t.Context(), user(t, tc.rules...), s.group, tp)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range denied {
				got = append(got, d.Command)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("denied are %q, want %q", got, tc.want)
			}
		})
	}
	t.Run("other keys", func(t *testing.T) {
		denied, err := redis.CheckRights(t.Context(), user(t, "resetkeys", "~other:*"), s.group, tp)
		if err != nil || len(denied) < 10 {
			t.Errorf("%d commands are denied, %v, want all that name keys", len(denied), err)
		}
	})
	// Who may do everything.
	if denied, err := redis.CheckRights(t.Context(), admin, s.group, tp); err != nil || len(denied) > 0 {
		t.Errorf("denied are %v, %v", denied, err)
	}
	same(t, "after all of it", s.content(t), before)
}
