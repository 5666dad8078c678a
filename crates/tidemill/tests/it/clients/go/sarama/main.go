// A day's work with sarama: it prints what it saw, and ends where anything is not as it must be.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

var (
	brokers []string
	name    string
	admin   sarama.ClusterAdmin
	secured []string
	// When the first record was made: recently, as old ones may be gone at any time.
	start = time.Now().Add(-10 * time.Minute).UnixMilli()
)

func check(err error) {
	if err != nil {
		_, _, line, _ := runtime.Caller(1)
		fmt.Fprintf(os.Stderr, "line %d: %v\n", line, err)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		_, _, line, _ := runtime.Caller(1)
		fmt.Fprintf(os.Stderr, "line %d: %v\n", line, err)
		os.Exit(1)
	}
	return value
}

// What sarama leaves to its users: the client's side of SCRAM.
type exchange struct{ *scram.ClientConversation }

func (e *exchange) Begin(user, password, authorization string) error {
	client, err := scram.SHA512.NewClient(user, password, authorization)
	if err == nil {
		e.ClientConversation = client.NewConversation()
	}
	return err
}

func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	if secured != nil {
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(must(os.ReadFile(secured[0])))
		config.Net.TLS.Enable, config.Net.TLS.Config = true, &tls.Config{RootCAs: trusted}
		config.Net.SASL.Enable, config.Net.SASL.Mechanism = true, sarama.SASLTypeSCRAMSHA512
		config.Net.SASL.User, config.Net.SASL.Password = secured[1], secured[2]
		config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &exchange{} }
	}
	return config
}

func main() {
	time.AfterFunc(90*time.Second, func() { check(fmt.Errorf("no end after 90 s")) })
	brokers, name = []string{os.Args[1]}, os.Args[2]
	if len(os.Args) > 3 {
		secured = os.Args[3:]
	}
	admin = must(sarama.NewClusterAdmin(brokers, settings()))
	topics()
	codecs()
	transactions()
	groups()
	standing()
	places()
	endings()
}

// Kafka's brokers hear of a topic after its making was answered: until then it has no settings.
func config(key string) string {
	resource := &sarama.ConfigResource{Type: sarama.TopicResource, Name: name, ConfigNames: []string{key}}
	var entry *sarama.ConfigEntry
	until(func() bool {
		told := must(admin.DescribeConfigs([]*sarama.ConfigResource{resource}, sarama.DescribeConfigsOptions{}))
		if len(told[0].Configs) > 0 {
			entry = &told[0].Configs[0]
		}
		return entry != nil
	})
	return fmt.Sprint(entry.Value, " ", strings.ToLower(entry.Source.String()))
}

// The setting when it is no longer that: Kafka's brokers hear of a change after it was answered.
func another(than string) string {
	told := than
	until(func() bool { told = config("retention.ms"); return !strings.HasPrefix(told, than) })
	return told
}

func topics() {
	hour := "3600000"
	detail := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &hour}}
	check(admin.CreateTopic(name, detail, false))
	fmt.Println("made; again:", errors.Is(admin.CreateTopic(name, detail, false), sarama.ErrTopicAlreadyExists))
	was := config("retention.ms")
	change := func(operation sarama.IncrementalAlterConfigsOperation, value string) {
		entry := sarama.IncrementalAlterConfigsEntry{Operation: operation, Value: &value}
		check(admin.IncrementalAlterConfig(sarama.TopicResource, name, map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": entry}, false))
	}
	change(sarama.IncrementalAlterConfigsOperationSet, "86400000")
	changed := another(hour)
	change(sarama.IncrementalAlterConfigsOperationDelete, "")
	fmt.Println("retention.ms:", was, "; altered:", changed, "; deleted:", another("86400000"))
	check(admin.AlterConfig(sarama.TopicResource, name, map[string]*string{"retention.ms": &hour}, false))
	fmt.Println("put:", another("604800000"))
	check(admin.CreatePartitions(name, 4, nil, false))
	told := must(admin.DescribeTopics([]string{name}))[0]
	until(func() bool { told = must(admin.DescribeTopics([]string{name}))[0]; return len(told.Partitions) == 4 })
	listed := must(admin.ListTopics())[name]
	fmt.Println("partitions:", len(told.Partitions), listed.NumPartitions, "replicas:", len(told.Partitions[3].Replicas))
}

func producer(change func(*sarama.Config)) sarama.SyncProducer {
	config := settings()
	change(config)
	return must(sarama.NewSyncProducer(brokers, config))
}

func produce(partition int32, value string) {
	writer := producer(func(*sarama.Config) {})
	_, _, err := writer.SendMessage(&sarama.ProducerMessage{Topic: name, Partition: partition, Value: sarama.StringEncoder(value)})
	check(err)
	check(writer.Close())
}

// Every record of a topic, from the start of each partition to the end that it has now.
func read(topic string, partitions int32, isolation sarama.IsolationLevel, count int) map[string]*sarama.ConsumerMessage {
	config := settings()
	config.Consumer.IsolationLevel = isolation
	consumer := must(sarama.NewConsumer(brokers, config))
	found := map[string]*sarama.ConsumerMessage{}
	records := make(chan *sarama.ConsumerMessage)
	for partition := int32(0); partition < partitions; partition++ {
		each := must(consumer.ConsumePartition(topic, partition, sarama.OffsetOldest))
		go func() {
			for record := range each.Messages() {
				records <- record
			}
		}()
	}
	for len(found) < count {
		record := <-records
		found[fmt.Sprint(record.Partition, " ", record.Offset)] = record
	}
	return found
}

func codecs() {
	sent := map[string]*sarama.ProducerMessage{}
	for n, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		writer := producer(func(config *sarama.Config) {
			config.Producer.Compression = codec
			config.Producer.Idempotent = n%2 == 0
			config.Producer.RequiredAcks = sarama.WaitForAll
			config.Net.MaxOpenRequests = 1
		})
		var records []*sarama.ProducerMessage
		for i := 0; i < 40; i++ {
			text := fmt.Sprint(strings.Repeat(codec.String()+" ", 20), i)
			records = append(records, &sarama.ProducerMessage{Topic: name, Partition: int32(i % 4), Key: sarama.StringEncoder(fmt.Sprint(i)),
				Value: sarama.StringEncoder(text), Timestamp: time.UnixMilli(start + int64(n*1000+i)),
				Headers: []sarama.RecordHeader{{Key: []byte("codec"), Value: []byte(codec.String())}, {Key: []byte("none")}}})
		}
		check(writer.SendMessages(records))
		for _, record := range records {
			sent[fmt.Sprint(record.Partition, " ", record.Offset)] = record
		}
		check(writer.Close())
	}
	wrong := 0
	found := read(name, 4, sarama.ReadUncommitted, 200)
	for place, record := range found {
		was := sent[place]
		key, _ := was.Key.Encode()
		value, _ := was.Value.Encode()
		if string(record.Key) != string(key) || string(record.Value) != string(value) || !record.Timestamp.Equal(was.Timestamp) ||
			len(record.Headers) != 2 || string(record.Headers[0].Value) != string(was.Headers[0].Value) {
			wrong++
		}
	}
	fmt.Println("codecs:", len(sent), "sent;", len(found), "read;", wrong, "wrong")
}

func transactions() {
	target, group := name+"-committed", name+"-exactly"
	check(admin.CreateTopic(target, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
	writer := producer(func(config *sarama.Config) {
		config.Producer.Idempotent, config.Producer.RequiredAcks = true, sarama.WaitForAll
		config.Producer.Transaction.ID, config.Net.MaxOpenRequests = name, 1
	})
	for round := 0; round < 4; round++ {
		check(writer.BeginTxn())
		for i := 0; i < 10; i++ {
			_, _, err := writer.SendMessage(&sarama.ProducerMessage{Topic: target, Value: sarama.StringEncoder(fmt.Sprint(round*10 + i))})
			check(err)
		}
		offsets := map[string][]*sarama.PartitionOffsetMetadata{name: {{Partition: 2, Offset: int64(round + 1)}}}
		check(writer.AddOffsetsToTxn(offsets, group))
		if round%2 == 0 {
			check(writer.AbortTxn())
		} else {
			check(writer.CommitTxn())
		}
	}
	check(writer.Close())
	var values []string
	for _, record := range read(target, 1, sarama.ReadCommitted, 20) {
		values = append(values, string(record.Value))
	}
	sort.Strings(values)
	all := len(read(target, 1, sarama.ReadUncommitted, 40))
	told := must(admin.ListConsumerGroupOffsets(group, map[string][]int32{name: {2}}))
	fmt.Println("transactions:", values[0], "to", values[19], "of", all, "; committed:", told.GetBlock(name, 2).Offset)
}

// A member of a group: what it was given last, and what it has read.
type member struct {
	sync.Mutex
	claims map[int32]bool
	seen   map[string]int
	values []string
	group  sarama.ConsumerGroup
	end    context.CancelFunc
	ended  chan struct{}
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.Lock()
	defer m.Unlock()
	m.claims = map[int32]bool{}
	for _, partition := range session.Claims()[name] {
		m.claims[partition] = true
	}
	return nil
}

func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	session.Commit()
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for record := range claim.Messages() {
		m.Lock()
		m.seen[fmt.Sprint(record.Partition, " ", record.Offset)]++
		m.values = append(m.values, string(record.Value))
		m.Unlock()
		session.MarkMessage(record, "read")
	}
	return nil
}

func join(group string, change func(*sarama.Config)) *member {
	config := settings()
	change(config)
	ctx, end := context.WithCancel(context.Background())
	m := &member{claims: map[int32]bool{}, seen: map[string]int{}, end: end, ended: make(chan struct{})}
	m.group = must(sarama.NewConsumerGroup(brokers, group, config))
	go func() {
		for ctx.Err() == nil {
			check(m.group.Consume(ctx, []string{name}, m))
		}
		close(m.ended)
	}()
	return m
}

func (m *member) leave() {
	m.end()
	<-m.ended
	check(m.group.Close())
}

func (m *member) counts() (claims, seen int) {
	m.Lock()
	defer m.Unlock()
	return len(m.claims), len(m.seen)
}

func until(is func() bool) {
	for !is() {
		time.Sleep(20 * time.Millisecond)
	}
}

func groups() {
	group := name + "-group"
	strategy := func(config *sarama.Config) {
		config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRoundRobin()}
	}
	first, second := join(group, strategy), join(group, strategy)
	until(func() bool { one, _ := first.counts(); other, _ := second.counts(); return one == 2 && other == 2 })
	until(func() bool { _, one := first.counts(); _, other := second.counts(); return one+other >= 200 })
	told := must(admin.DescribeConsumerGroups([]string{group}))[0]
	second.leave()
	until(func() bool { claims, _ := first.counts(); return claims == 4 })
	_, one := first.counts()
	_, other := second.counts()
	fmt.Println("group:", told.State, len(told.Members), "members,", told.Protocol, "; read", one+other)
	first.leave()
	produce(3, "resumed")
	third := join(group, strategy)
	until(func() bool { _, seen := third.counts(); return seen > 0 })
	third.leave()
	offsets := must(admin.ListConsumerGroupOffsets(group, map[string][]int32{name: {3}})).GetBlock(name, 3)
	fmt.Println("resumed with", third.values, "; committed:", offsets.Offset, offsets.Metadata)
}

// A static member that goes and comes back is the same to the group.
func standing() {
	group := name + "-static"
	fixed := func(config *sarama.Config) { config.Consumer.Group.InstanceId = "fixed" }
	first := join(group, fixed)
	until(func() bool { _, seen := first.counts(); return seen == 201 })
	first.leave()
	told := must(admin.DescribeConsumerGroups([]string{group}))[0]
	second := join(group, fixed)
	until(func() bool { claims, _ := second.counts(); return claims == 4 })
	again := must(admin.DescribeConsumerGroups([]string{group}))[0]
	for _, each := range told.Members {
		fmt.Println("static member:", *each.GroupInstanceId, "stays in a group that is", told.State, "then", again.State, len(again.Members))
	}
	second.leave()
	_, err := admin.RemoveMemberFromConsumerGroup(group, []string{"fixed"})
	check(err)
	fmt.Println("removed:", must(admin.DescribeConsumerGroups([]string{group}))[0].State)
}

func places() {
	at := must(admin.ListOffsets(map[string]map[int32]int64{name: {1: start + 2000}}, nil))[name][1]
	check(admin.DeleteRecords(name, map[int32]int64{1: 20}))
	client := must(sarama.NewClient(brokers, settings()))
	fmt.Println("by time:", at.Offset, at.Timestamp-start, "; deleted, starts at", must(client.GetOffset(name, 1, sarama.OffsetOldest)), "of", must(client.GetOffset(name, 1, sarama.OffsetNewest)))
	check(client.Close())
}

func endings() {
	group := name + "-group"
	_, err := admin.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{name: {1: {Offset: 7, Metadata: "moved"}}}, nil)
	check(err)
	moved := must(admin.ListConsumerGroupOffsets(group, map[string][]int32{name: {1}})).GetBlock(name, 1)
	check(admin.DeleteConsumerGroupOffset(group, name, 1))
	left := must(admin.ListConsumerGroupOffsets(group, map[string][]int32{name: {1}})).GetBlock(name, 1)
	_, listed := must(admin.ListConsumerGroups())[group]
	check(admin.DeleteConsumerGroup(group))
	_, still := must(admin.ListConsumerGroups())[group]
	fmt.Println("offsets:", moved.Offset, moved.Metadata, "; deleted:", left.Offset, "; group:", listed, still, admin.DeleteConsumerGroup(group))
	check(admin.DeleteTopic(name))
	fmt.Println("topic deleted; again:", admin.DeleteTopic(name))
}
