package integration

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// toEnd runs the world's events to their end.
func (w *world) toEnd() ending {
	w.t.Helper()
	return nudged(w.t, nil, "run", "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end")
}

// rights: with TLS, a certificate, a password and the documented ACLs nudged does
// all that it has to, with one of them missing it ends and names it.
func (b *brokers) rights(t *testing.T) {
	w := b.world(t, 2)
	sends := 0
	for _, mechanism := range []string{"SCRAM-SHA-512", "PLAIN"} {
		w.kafkaConfig = b.access(mechanism, kafkaPassword, b.authority.file)
		w.put(append(signups(mechanism, 10), &kgo.Record{Value: []byte("no event")})...)
		sends += 10
		w.toEnd().requireSays(t, 0)
		requireSends(t, w, sends, "greeting")
		if n := len(w.committed(w.dead)); n != sends/10 {
			t.Errorf("%d dead letters, want %d", n, sends/10)
		}
	}
	for _, a := range documentedACLs(t, w) {
		name := strings.TrimSuffix(a.name, "-") // of the transactional id the beginning
		t.Run(fmt.Sprintf("Without/%s/%s/%s", a.operation, a.resource, name[strings.LastIndex(name, "-")+1:]), func(t *testing.T) {
			b.forbid(t, a)
			b.untilForbidden(t, a)
			defer b.allow(t, []acl{a})
			e := w.toEnd()
			if a.resource == "transactional-id" && a.operation == "Describe" {
				e.requireSays(t, 0) // who may write may describe
				return
			}
			e.requireSays(t, 1, fmt.Sprintf("the Kafka user may not %s %s \"%s", a.operation, a.resource, a.name),
				"--operation "+a.operation+" --"+a.resource+" "+a.name)
		})
	}
	t.Run("WrongPassword", func(t *testing.T) {
		w.kafkaConfig = b.access("SCRAM-SHA-512", "another", b.authority.file)
		w.toEnd().requireSays(t, 1, b.Brokers[0].Proxy.Address(), "SASL_AUTHENTICATION_FAILED", "check kafka.brokers, tls and sasl")
	})
	t.Run("WrongAuthority", func(t *testing.T) {
		w.kafkaConfig = b.access("SCRAM-SHA-512", kafkaPassword, newAuthority(t).file)
		w.toEnd().requireSays(t, 1, b.Brokers[0].Proxy.Address(), "certificate", "check kafka.brokers, tls and sasl")
	})
}

// untilForbidden waits until every broker knows that the right is gone.
func (b *brokers) untilForbidden(t *testing.T, a acl) {
	t.Helper()
	for _, broker := range b.Brokers {
		cl := kafkaClient(t, broker.Direct).Broker(broker.ID)
		eventually(t, fmt.Sprintf("broker %d knows that %+v is gone", broker.ID, a), func() bool {
			req := kmsg.NewPtrDescribeACLsRequest()
			req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
			req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
			req.ResourceName = kmsg.StringPtr(a.name)
			resp, err := cl.Request(t.Context(), req)
			if err != nil {
				return false
			}
			for _, r := range resp.(*kmsg.DescribeACLsResponse).Resources {
				for _, have := range r.ACLs {
					if strings.EqualFold(have.Operation.String(), a.operation) {
						return false
					}
				}
			}
			return true
		})
	}
}

const redisPassword = "a password of Redis"

// With TLS, a certificate and the documented user nudged does all that it has to;
// else it ends and says what is wrong.
func TestRedisWithTLSAndRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	a := newAuthority(t)
	server, client := a.sign("redis"), a.sign("nudged")
	text, err := os.ReadFile("../../deploy/redis/users.acl")
	if err != nil {
		t.Fatal(err)
	}
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(redisPassword)))
	users := writeFile(t, "users.acl", strings.NewReplacer("NUDGED_SHA256", hash, "ADMIN_SHA256", hash).Replace(string(text)))
	pair, err := tls.LoadX509KeyPair(client.cert, client.key)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(a.cert)
	secured := &tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	s := startRedis(t, secured, func(port string) []string {
		return []string{
			"--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--tls-cert-file", server.cert, "--tls-key-file", server.key,
			"--tls-ca-cert-file", a.file, "--tls-auth-clients", "yes", "--aclfile", users, "--maxmemory-policy", "noeviction",
		}
	})
	admin := goredis.NewClient(&goredis.Options{Addr: s.addr, Username: "admin", Password: redisPassword, TLSConfig: secured})
	defer admin.Close()
	access := func(password, ca string) string {
		return fmt.Sprintf("{addrs: [%q], username: nudged, password_file: %q, tls: {enabled: true, ca_file: %q, cert_file: %q, key_file: %q}}",
			s.addr, writeFile(t, "password", password), ca, client.cert, client.key)
	}
	w.redisAddr, w.redisConfig = s.addr, access(redisPassword, a.file)
	w.put(signups("early", 10)...)
	w.toEnd().requireSays(t, 0)
	requireSends(t, w, 10, "greeting")

	// Of a call, and of a script: the partitions wait, say why, and go on once the user
	// has what it lacks.
	for _, command := range []string{"evalsha", "rpush"} {
		w.put(signups("without-"+command, 1)...)
		if err := admin.Do(t.Context(), "ACL", "SETUSER", "nudged", "-"+command).Err(); err != nil {
			t.Fatal(err)
		}
		d := start(t, "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end")
		eventually(t, "the missing right to "+command+" is named", func() bool {
			_, states := d.status()
			return slices.ContainsFunc(states, func(s partitionState) bool {
				return strings.Contains(s.Trouble, "'"+command+"'") && strings.Contains(s.Trouble, "ACL SETUSER") && strings.Contains(s.Trouble, "redis "+w.redisAddr)
			})
		})
		if err := admin.Do(t.Context(), "ACL", "SETUSER", "nudged", "+"+command).Err(); err != nil {
			t.Fatal(err)
		}
		d.requireExit(0)
	}
	requireSends(t, w, 12, "greeting")

	w.redisConfig = access("another", a.file)
	w.toEnd().requireSays(t, 1, "redis "+s.addr, "WRONGPASS", "user name or the password")
	w.redisConfig = access(redisPassword, newAuthority(t).file)
	w.toEnd().requireSays(t, 1, "redis "+s.addr, "certificate", "redis.tls")
}
