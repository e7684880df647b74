package integration

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	servers "github.com/nudged/nudged/internal/chaos/services"
)

// brokers is a Kafka of the test's own: two brokers. Who comes directly may do
// everything. nudged comes by the proxies: with TLS, a certificate and a password,
// and may do what ACLs allow.
type brokers struct {
	*servers.Kafka
	t         *testing.T
	authority *authority
	client    identity
	redis     string
}

const kafkaPassword = "a password of Kafka"

func startBrokers(t *testing.T) *brokers {
	t.Helper()
	_, redis := services(t)
	programs, err := servers.FindPrograms(t.Context(), "../..")
	if err != nil {
		leaveOut(t, fmt.Sprintf("there are no programs for a Kafka of several brokers: %v", err))
	}
	b := &brokers{t: t, authority: newAuthority(t), redis: redis}
	b.client = b.authority.sign("nudged")
	proxies := servers.NewProxies()
	t.Cleanup(proxies.Stop)
	b.Kafka, err = servers.StartKafka(t.Context(), programs, t.TempDir(), 2, proxies,
		"listener.security.protocol.map=DIRECT:PLAINTEXT,PROXIED:SASL_SSL,CONTROLLER:PLAINTEXT",
		"ssl.keystore.type=PEM", "ssl.keystore.location="+b.authority.sign("broker").both,
		"ssl.truststore.type=PEM", "ssl.truststore.location="+b.authority.file,
		"listener.name.proxied.ssl.client.auth=required",
		"sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN",
		"listener.name.proxied.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		fmt.Sprintf("listener.name.proxied.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_nudged=%q;", kafkaPassword),
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS")
	if b.Kafka != nil {
		t.Cleanup(b.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	users, err := b.Admin().AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: "nudged", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: kafkaPassword}})
	if err == nil {
		err = users.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// world makes topics on both brokers, and lets nudged do what the documented ACLs
// say.
func (b *brokers) world(t *testing.T, partitions int) *world {
	t.Helper()
	w := connectTo(t, b.Brokers[0].Direct, b.redis)
	w.replicas, w.front = 2, strings.Join(b.Proxied(), ", ")
	w.kafkaConfig = b.access("SCRAM-SHA-512", kafkaPassword, b.authority.file)
	w.events = w.group + "-events"
	w.create(w.events, partitions, nil)
	w.createOutputs()
	b.allow(t, documentedACLs(t, w))
	return w
}

// access is how nudged gets in.
func (b *brokers) access(mechanism, password, ca string) string {
	return fmt.Sprintf(`  tls: {enabled: true, ca_file: %q, cert_file: %q, key_file: %q}
  sasl: {mechanism: %s, username: nudged, password_file: %q}`,
		ca, b.client.cert, b.client.key, mechanism, writeFile(b.t, "password", password+"\n"))
}

// coordinator is the broker that coordinates the group.
func (w *world) coordinator() int32 {
	w.t.Helper()
	found := w.adm.FindGroupCoordinators(w.t.Context(), w.group)
	if err := found.Error(); err != nil {
		return -1 // on its way
	}
	return found[w.group].NodeID
}

// Leaders move, of input and output partitions, and with those of the internal topics the coordinators
// of the group and of the transactions, again and again while events come in.
func TestSeveralBrokers(t *testing.T) {
	t.Parallel()
	b := startBrokers(t)
	t.Run("Rights", b.rights)
	t.Run("LeadersMove", b.leadersMove)
	for _, version := range []int16{2, 1} {
		t.Run(fmt.Sprintf("TransactionTimesOut/transaction.version=%d", version), func(t *testing.T) {
			b.setTransactionVersion(t, version)
			b.transactionTimesOut(t)
		})
		t.Run(fmt.Sprintf("Clash/transaction.version=%d", version), b.clash)
	}
}

func (b *brokers) leadersMove(t *testing.T) {
	w := b.world(t, shopPartitions)
	want := expected(t, python(t), shopFile)
	d := start(t, "--config", w.config(shopRules, "event"))
	d.untilReady(shopPartitions)
	// The 170 minutes in 10 seconds.
	loaded := w.load(shopFile, "--speed", "1000x")
	sends := w.tail(w.sends)
	for i := range 3 {
		sends.untilCount((i + 1) * want.sent().total() / 5)
		before := w.coordinator()
		if _, err := b.MoveLeaders(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another broker coordinates the group", func() bool { at := w.coordinator(); return at >= 0 && at != before })
	}
	loaded()
	w.untilConsumed()
	d.terminate()
	w.requireOutcomes(want)
}

// setTransactionVersion makes the cluster one of the version, as one that was
// updated from an older Kafka is.
func (b *brokers) setTransactionVersion(t *testing.T, version int16) {
	t.Helper()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.TimeoutMillis = 30_000
	f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	f.Feature, f.MaxVersionLevel, f.UpgradeType = "transaction.version", version, 3 // down, too
	req.FeatureUpdates = append(req.FeatureUpdates, f)
	resp, err := req.RequestWith(t.Context(), kafkaClient(t, b.Brokers[0].Direct))
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		t.Fatalf("set transaction.version to %d: %v", version, err)
	}
}

// A process is paused in a transaction for longer than the broker leaves that open.
// Nothing is lost, nothing is there twice, and the process goes on.
func (b *brokers) transactionTimesOut(t *testing.T) {
	w := b.world(t, 2)
	d := start(t, "--config", w.config("testdata/rules.yaml", "event"))
	d.untilReady(2)
	for _, broker := range b.Brokers {
		// Transactions take half a second.
		if err := broker.Proxy.Delay(100, 0); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := broker.Proxy.Mend(); err != nil {
				t.Error(err)
			}
		}()
	}
	users := 0
	for timedOut := false; !timedOut; {
		w.put(signups(fmt.Sprintf("round-%d", users), 20)...)
		users += 20
		eventually(t, "a transaction is open", func() bool { return w.transaction() == "Ongoing" })
		signal(t, d, syscall.SIGSTOP)
		eventually(t, "the transaction ends", func() bool {
			state := w.transaction()
			timedOut = state == "CompleteAbort"
			return timedOut || state == "CompleteCommit" || state == "Empty"
		})
		signal(t, d, syscall.SIGCONT)
	}
	w.put(signups("later", 20)...)
	w.untilConsumed()
	d.terminate()
	requireSends(t, w, users+20, "greeting")
	if strings.Contains(d.said(), "transactional_id") {
		t.Error("a transaction that has timed out is taken for a clash")
	}
}

// transaction is the state of the transaction of the group's process.
func (w *world) transaction() string {
	w.t.Helper()
	all, err := w.adm.ListTransactions(w.t.Context(), nil, nil)
	if err != nil {
		return ""
	}
	for id, txn := range all {
		if strings.HasPrefix(id, w.group+"-") {
			return txn.State
		}
	}
	return ""
}

func signal(t *testing.T, d *daemon, s syscall.Signal) {
	t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
}

// Two processes with one transactional id: one of them ends, and says why.
func (b *brokers) clash(t *testing.T) {
	w := b.world(t, 2)
	w.kafkaConfig += "\n  transactional_id: " + w.group + "-the-same"
	config := w.config("testdata/rules.yaml", "event")
	both := []*daemon{start(t, "--config", config), start(t, "--config", config)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		for i, d := range both {
			select {
			case <-d.done:
				d.requireExit(1)
				d.requireSaid("another process uses the same transactional id", w.group+"-the-same", "give each process an id of its own (kafka.transactional_id)")
				both[1-i].kill()
				return
			default:
			}
		}
		select {
		case <-ctx.Done():
			t.Fatal("none of the two processes has noticed the other")
		case <-tick.C:
			w.put(signups(fmt.Sprintf("clash-%d", n), 2)...)
		}
	}
}
