package services

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka is a cluster of brokers, each its own controller too (KRaft).
type Kafka struct {
	Brokers []*Broker
	adm     *kadm.Client
	client  *kgo.Client
}

// Broker is one of them. Clients that are to be disturbed reach it through its
// proxy: it tells them to come back to that.
type Broker struct {
	*Process
	ID     int
	Direct string // address without a proxy
	Proxy  *Proxy
}

// patience bounds what servers may take to come up on a busy machine.
const patience = 3 * time.Minute

// StartKafka starts a cluster in a new folder and waits until it serves. settings
// are lines of the brokers' configuration that win over ours.
func StartKafka(ctx context.Context, programs Programs, dir string, brokers int, proxies *Proxies, settings ...string) (*Kafka, error) {
	ports, err := freePorts(4 * brokers)
	if err != nil {
		return nil, err
	}
	voters := make([]string, brokers)
	for i := range brokers {
		voters[i] = fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[4*i])
	}
	id := make([]byte, 16)
	rand.Read(id)
	id[0] = 'N' // so that the text begins with no dash
	cluster := base64.RawURLEncoding.EncodeToString(id)
	k := &Kafka{}
	java := []string{
		programs.Java, "-server", "-Xms200m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError",
		"-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true",
		"-Dlog4j2.configurationFile=" + programs.Log4j, "-Dlog4j2.disableJmx=true", "-cp", programs.KafkaJars + "/*",
	}
	for i := range brokers {
		p := ports[4*i : 4*i+4]
		b := &Broker{ID: i + 1, Direct: loopback(p[1])}
		b.Proxy, err = proxies.Add(fmt.Sprintf("kafka-%d", b.ID), p[3], loopback(p[2]))
		if err != nil {
			return k, err
		}
		config := filepath.Join(dir, fmt.Sprintf("kafka-%d.properties", b.ID))
		data := filepath.Join(dir, fmt.Sprintf("kafka-%d", b.ID))
		if err := os.WriteFile(config, []byte(brokerConfig(b.ID, brokers, p, voters, data)+strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
			return k, err
		}
		format := exec.CommandContext(ctx, java[0], append(java[1:len(java):len(java)], "kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", config)...)
		if out, err := format.CombinedOutput(); err != nil {
			return k, fmt.Errorf("format the storage of broker %d: %w\n%s", b.ID, err, out)
		}
		b.Process = &Process{
			Name: fmt.Sprintf("kafka-%d", b.ID), Log: filepath.Join(dir, fmt.Sprintf("kafka-%d.log", b.ID)),
			Args: append(java[:len(java):len(java)], "kafka.Kafka", config),
		}
		k.Brokers = append(k.Brokers, b)
		if err := b.Start(); err != nil {
			return k, err
		}
	}
	k.client, err = kgo.NewClient(kgo.SeedBrokers(k.Addresses()...), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return k, fmt.Errorf("kafka client: %w", err)
	}
	k.adm = kadm.NewClient(k.client)
	for _, b := range k.Brokers {
		if err := b.await(ctx, "it does not serve", patience, k.allThere); err != nil {
			return k, err
		}
	}
	return k, nil
}

// brokerConfig: short sessions, quick aborts and quick fail-over, so that a test
// need not wait long until something dead is noticed. ports: controller, direct,
// behind the proxy, the proxy's.
func brokerConfig(id, brokers int, ports []int, voters []string, data string) string {
	replicas := min(3, brokers)
	inSync := min(2, brokers)
	return fmt.Sprintf(`process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=DIRECT://127.0.0.1:%d,PROXIED://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d
advertised.listeners=DIRECT://127.0.0.1:%d,PROXIED://127.0.0.1:%d
listener.security.protocol.map=DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
log.dirs=%s
auto.create.topics.enable=false
default.replication.factor=%d
min.insync.replicas=%d
offsets.topic.replication.factor=%d
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=%d
transaction.state.log.min.isr=%d
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
unclean.leader.election.enable=false
leader.imbalance.check.interval.seconds=5
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
controller.quorum.election.timeout.ms=1500
controller.quorum.fetch.timeout.ms=3000
replica.lag.time.max.ms=5000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
num.network.threads=2
num.io.threads=4
num.replica.fetchers=1
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=16777216
`, id, strings.Join(voters, ","), ports[1], ports[2], ports[0], ports[1], ports[3], data,
		replicas, inSync, replicas, replicas, inSync)
}

// Addresses are those without a proxy.
func (k *Kafka) Addresses() []string {
	var out []string
	for _, b := range k.Brokers {
		out = append(out, b.Direct)
	}
	return out
}

// Proxied are the addresses of the proxies.
func (k *Kafka) Proxied() []string {
	var out []string
	for _, b := range k.Brokers {
		out = append(out, b.Proxy.Address())
	}
	return out
}

// Admin returns an admin client that goes past the proxies.
func (k *Kafka) Admin() *kadm.Client { return k.adm }

// allThere says whether every broker is known to the cluster.
func (k *Kafka) allThere(ctx context.Context) error {
	brokers, err := k.adm.ListBrokers(ctx)
	if err != nil {
		return err
	}
	if len(brokers) != len(k.Brokers) {
		return fmt.Errorf("%d of %d brokers have joined", len(brokers), len(k.Brokers))
	}
	return nil
}

// Healed waits until every broker is there and every replica in sync.
func (k *Kafka) Healed(ctx context.Context) error {
	err := Eventually(ctx, patience, func(ctx context.Context) error {
		if err := k.allThere(ctx); err != nil {
			return err
		}
		meta, err := k.adm.Metadata(ctx)
		if err != nil {
			return err
		}
		for _, t := range meta.Topics {
			for _, p := range t.Partitions {
				if p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
					return fmt.Errorf("%s/%d: leader %d, in sync %v of %v", t.Topic, p.Partition, p.Leader, p.ISR, p.Replicas)
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("kafka has not healed: %w", err)
	}
	return nil
}

// MoveLeaders gives every partition another leader, the coordinators of groups and
// transactions among them.
func (k *Kafka) MoveLeaders(ctx context.Context) (moved int, err error) {
	meta, err := k.adm.Metadata(ctx)
	if err != nil {
		return 0, fmt.Errorf("move leaders: %w", err)
	}
	req := kmsg.NewPtrElectLeadersRequest()
	req.ElectionType = 0
	req.TimeoutMillis = 10_000
	assign := kadm.AlterPartitionAssignmentsReq{}
	for _, t := range meta.Topics {
		electing := kmsg.NewElectLeadersRequestTopic()
		electing.Topic = t.Topic
		for _, p := range t.Partitions {
			if len(p.Replicas) < 2 {
				continue
			}
			assign.Assign(t.Topic, p.Partition, append(append([]int32{}, p.Replicas[1:]...), p.Replicas[0]))
			electing.Partitions = append(electing.Partitions, p.Partition)
			moved++
		}
		if len(electing.Partitions) > 0 {
			req.Topics = append(req.Topics, electing)
		}
	}
	if moved == 0 {
		return 0, nil
	}
	if _, err := k.adm.AlterPartitionAssignments(ctx, assign); err != nil {
		return 0, fmt.Errorf("move leaders: %w", err)
	}
	if _, err := req.RequestWith(ctx, k.client); err != nil {
		return 0, fmt.Errorf("move leaders: %w", err)
	}
	return moved, nil
}

// Close ends the brokers.
func (k *Kafka) Close() {
	if k.client != nil {
		k.client.Close()
	}
	for _, b := range k.Brokers {
		if b.Process != nil {
			// Their data is thrown away: nothing has to be closed properly.
			b.Signal(syscall.SIGCONT)
			b.Kill()
		}
	}
}

// Problem says what is wrong with the processes that ought to run.
func (k *Kafka) Problem() error {
	var errs []error
	for _, b := range k.Brokers {
		if !b.Running() {
			errs = append(errs, fmt.Errorf("%s is not running; the end of its log:\n%s", b.Name, b.Tail(25)))
		}
	}
	return errors.Join(errs...)
}
