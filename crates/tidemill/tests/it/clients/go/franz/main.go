// A day's work with franz-go: it prints what it saw, and ends where anything is not as it must be.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

var (
	basic []kgo.Opt
	name  string
	admin *kadm.Client
	ctx   context.Context
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

func client(more ...kgo.Opt) *kgo.Client {
	return must(kgo.NewClient(append(append([]kgo.Opt{}, basic...), more...)...))
}

func produce(record *kgo.Record) error {
	writer := client()
	defer writer.Close()
	return writer.ProduceSync(ctx, record).FirstErr()
}

func main() {
	var end context.CancelFunc
	ctx, end = context.WithTimeout(context.Background(), 90*time.Second)
	defer end()
	args := os.Args[1:]
	name = args[1]
	basic = []kgo.Opt{kgo.SeedBrokers(args[0]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.FetchMaxWait(200 * time.Millisecond), kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.MetadataMaxAge(2 * time.Second)}
	if len(args) > 2 {
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(must(os.ReadFile(args[2])))
		auth := scram.Auth{User: args[3], Pass: args[4]}
		basic = append(basic, kgo.DialTLSConfig(&tls.Config{RootCAs: trusted}), kgo.SASL(auth.AsSha512Mechanism()))
	}
	admin = kadm.NewClient(client())
	topics()
	codecs()
	transactions()
	groups("classic")
	groups("consumer")
	standing()
	patterns()
	places()
	endings()
}

func config(key string) string {
	told := must(admin.DescribeTopicConfigs(ctx, name))
	for _, entry := range must(told.On(name, nil)).Configs {
		if entry.Key == key {
			return fmt.Sprintf("%s %s", entry.MaybeValue(), strings.ToLower(entry.Source.String()))
		}
	}
	return "none"
}

// The setting when it is no longer that: Kafka's brokers hear of a change after it was answered.
func another(than string) string {
	for {
		if told := config("retention.ms"); !strings.HasPrefix(told, than) {
			return told
		}
	}
}

func topics() {
	hour := "3600000"
	made := must(admin.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": &hour}, name))
	check(made.Err)
	again, _ := admin.CreateTopic(ctx, 3, 1, nil, name)
	fmt.Println("made:", made.NumPartitions, "partitions; again:", again.Err)
	fmt.Println("retention.ms:", config("retention.ms"), "; max.message.bytes:", config("max.message.bytes"))
	day := "86400000"
	_ = must(admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &day}}, name))
	changed := another(hour)
	_ = must(admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "retention.ms"}}, name))
	fmt.Println("altered:", changed, "; deleted:", another(day))
	wrong := must(admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.mss", Value: &day}}, name))
	fmt.Println("unknown setting:", wrong[0].Err)
	check(must(admin.UpdatePartitions(ctx, 4, name)).Error())
	listed := must(admin.ListTopics(ctx, name))
	for len(listed[name].Partitions) < 4 {
		listed = must(admin.ListTopics(ctx, name))
	}
	fmt.Println("partitions:", len(listed[name].Partitions), "leader:", listed[name].Partitions[3].Leader > 0)
}

// Reads this many records from the start; in the order of partitions and offsets.
func read(count int, topic string, more ...kgo.Opt) []*kgo.Record {
	reader := client(append(more, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	defer reader.Close()
	return poll(reader, count)
}

func poll(reader *kgo.Client, count int) []*kgo.Record {
	var found []*kgo.Record
	for len(found) < count {
		fetches := reader.PollFetches(ctx)
		check(fetches.Err())
		found = append(found, fetches.Records()...)
	}
	sort.Slice(found, func(i, j int) bool {
		a, b := found[i], found[j]
		if a.Partition != b.Partition {
			return a.Partition < b.Partition
		}
		return a.Offset < b.Offset
	})
	return found
}

func codecs() {
	all := []struct {
		name  string
		codec kgo.CompressionCodec
	}{{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()},
		{"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()}}
	sent := map[string]*kgo.Record{}
	place := func(r *kgo.Record) string { return fmt.Sprint(r.Partition, " ", r.Offset) }
	for n, each := range all {
		writer := client(kgo.ProducerBatchCompression(each.codec))
		var records []*kgo.Record
		for i := 0; i < 40; i++ {
			text := strings.Repeat(each.name+" ", 20)
			records = append(records, &kgo.Record{Topic: name, Partition: int32(i % 4), Key: []byte(fmt.Sprint(i)),
				Value: []byte(fmt.Sprint(text, i)), Timestamp: time.UnixMilli(start + int64(n*1000+i)),
				Headers: []kgo.RecordHeader{{Key: "codec", Value: []byte(each.name)}, {Key: "none", Value: nil}}})
		}
		check(writer.ProduceSync(ctx, records...).FirstErr())
		for _, record := range records {
			sent[place(record)] = record
		}
		writer.Close()
	}
	wrong := 0
	found := read(200, name)
	for _, r := range found {
		was := sent[place(r)]
		same := was != nil && string(r.Key) == string(was.Key) && string(r.Value) == string(was.Value) &&
			r.Timestamp.Equal(was.Timestamp) && len(r.Headers) == 2 &&
			string(r.Headers[0].Value) == string(was.Headers[0].Value) && r.Headers[1].Value == nil
		if !same {
			wrong++
		}
	}
	fmt.Println("codecs:", len(sent), "sent;", len(found), "read;", wrong, "wrong")
}

// Consumes what the codecs left, doubles every second transaction, and gives the others up.
func transactions() {
	target := name + "-doubled"
	check(must(admin.CreateTopic(ctx, 1, 1, nil, target)).Err)
	session := must(kgo.NewGroupTransactSession(append(append([]kgo.Opt{}, basic...), kgo.TransactionalID(name),
		kgo.ConsumerGroup(name+"-exactly"), kgo.ConsumeTopics(name), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...))
	done, rounds := 0, 0
	for done < 200 {
		fetches := session.PollRecords(ctx, 30)
		check(fetches.Err())
		records := fetches.Records()
		if len(records) == 0 {
			continue
		}
		check(session.Begin())
		for _, record := range records {
			check(session.ProduceSync(ctx, &kgo.Record{Topic: target, Value: record.Value}).FirstErr())
		}
		rounds++
		committed := must(session.End(ctx, kgo.TransactionEndTry(rounds%3 != 2)))
		if committed {
			done += len(records)
		}
	}
	session.Close()
	values := map[string]bool{}
	for _, record := range read(200, target, kgo.FetchIsolationLevel(kgo.ReadCommitted())) {
		values[string(record.Value)] = true
	}
	ends := must(admin.ListEndOffsets(ctx, target))
	end, _ := ends.Lookup(target, 0)
	fmt.Println("exactly once:", done, "doubled;", len(values), "different; markers:", end.Offset > 200, "; committed:", committed(name+"-exactly"))
}

// How many records the topic has.
func records() int {
	sum := int64(0)
	ends := must(admin.ListEndOffsets(ctx, name))
	ends.Each(func(each kadm.ListedOffset) { sum += each.Offset })
	return int(sum)
}

// What a group has committed of all partitions.
func committed(group string) int {
	sum := int64(0)
	offsets := must(admin.FetchOffsets(ctx, group))
	offsets.Each(func(each kadm.OffsetResponse) { sum += each.At })
	return int(sum)
}

func member(group, protocol string, more ...kgo.Opt) *kgo.Client {
	more = append(more, kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if protocol == "consumer" {
		more = append(more, kgo.ServerSideBalancer())
	}
	return client(more...)
}

// Two members share four partitions, one leaves, and the other goes on where they were.
func groups(protocol string) {
	group := name + "-" + protocol
	members := []*kgo.Client{member(group, protocol, kgo.ConsumeTopics(name)), member(group, protocol, kgo.ConsumeTopics(name))}
	seen, all := map[string]int{}, records()
	sizes := func() string {
		described := must(admin.DescribeGroups(ctx, group))[group]
		var sizes []int
		for _, each := range described.Members {
			if assigned, ok := each.Assigned.AsConsumer(); ok {
				for _, topic := range assigned.Topics {
					sizes = append(sizes, len(topic.Partitions))
				}
			}
		}
		if protocol == "consumer" {
			for _, each := range must(admin.DescribeConsumerGroups(ctx, group))[group].Members {
				sizes = append(sizes, len(each.Assignment[name]))
			}
		}
		sort.Ints(sizes)
		return fmt.Sprint(sizes)
	}
	pollAll := func(of []*kgo.Client) {
		for _, each := range of {
			short, end := context.WithTimeout(ctx, 50*time.Millisecond)
			each.PollFetches(short).EachRecord(func(r *kgo.Record) { seen[fmt.Sprint(r.Partition, " ", r.Offset)]++ })
			end()
		}
	}
	for sizes() != "[2 2]" {
		pollAll(members)
	}
	for committed(group) < all {
		pollAll(members)
		for _, each := range members {
			check(each.CommitUncommittedOffsets(ctx))
		}
	}
	shared := sizes()
	members[1].Close()
	for sizes() != "[4]" {
		pollAll(members[:1])
	}
	more := &kgo.Record{Topic: name, Partition: 3, Value: []byte("after " + protocol)}
	check(produce(more))
	for len(seen) < all+1 {
		pollAll(members[:1])
	}
	check(members[0].CommitUncommittedOffsets(ctx))
	members[0].Close()
	back := member(group, protocol, kgo.ConsumeTopics(name))
	check(produce(&kgo.Record{Topic: name, Partition: 0, Value: []byte("resumed")}))
	next := poll(back, 1)
	fmt.Printf("%s group: %s, then [4]; %d read; resumed with %q\n", protocol, shared, len(seen), next[0].Value)
	back.Close()
}

// A static member that goes and comes back keeps its place: nobody else is given its partitions. By the classic protocol only:
// by the other one franz-go says no word when it goes, and its place is taken until the session is over.
func standing() {
	group := name + "-static"
	fixed := func() *kgo.Client {
		return member(group, "classic", kgo.ConsumeTopics(name), kgo.InstanceID("fixed"))
	}
	first := fixed()
	before := len(poll(first, records()))
	_, was := first.GroupMetadata()
	first.Close()
	first = fixed()
	after := len(poll(first, records()))
	_, is := first.GroupMetadata()
	fmt.Println("static member: read the same", before == after, "; same generation:", was == is)
	first.Close()
}

func patterns() {
	for _, part := range []string{"a", "b"} {
		topic := name + ".part." + part
		check(must(admin.CreateTopic(ctx, 1, 1, nil, topic)).Err)
		check(produce(&kgo.Record{Topic: topic, Value: []byte(part)}))
	}
	for _, protocol := range []string{"classic", "consumer"} {
		reader := member(name+"-regex-"+protocol, protocol, kgo.ConsumeRegex(), kgo.ConsumeTopics("^"+name+`\.part\..*$`))
		var values []string
		for _, record := range poll(reader, 2) {
			values = append(values, string(record.Value))
		}
		sort.Strings(values)
		fmt.Println("regex", protocol, "members read", values)
		reader.Close()
	}
}

// By time, and by deleting what lies before.
func places() {
	at := must(admin.ListOffsetsAfterMilli(ctx, start+2000, name))
	first, _ := at.Lookup(name, 1)
	latest := must(admin.ListMaxTimestampOffsets(ctx, name))
	largest, _ := latest.Lookup(name, 1)
	fmt.Println("by time:", first.Offset, first.Timestamp-start, "; largest:", largest.Offset, largest.Timestamp-start)
	up := kadm.Offsets{}
	up.AddOffset(name, 1, 20, -1)
	deleted := must(admin.DeleteRecords(ctx, up))
	starts := must(admin.ListStartOffsets(ctx, name))
	start, _ := starts.Lookup(name, 1)
	kept := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {1: kgo.NewOffset().At(5)}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	fmt.Println("deleted up to", deleted[name][1].LowWatermark, "; starts at", start.Offset, "; a read at 5 is reset to", poll(kept, 1)[0].Offset)
	kept.Close()
}

func endings() {
	group := name + "-classic"
	up := kadm.Offsets{}
	up.AddOffset(name, 1, 21, -1)
	check(admin.CommitAllOffsets(ctx, group, up))
	moved := must(admin.FetchOffsets(ctx, group))
	at, _ := moved.Lookup(name, 1)
	var only kadm.TopicsSet
	only.Add(name, 1)
	_ = must(admin.DeleteOffsets(ctx, group, only))
	left := must(admin.FetchOffsets(ctx, group))
	_, there := left.Lookup(name, 1)
	gone := must(admin.DeleteGroup(ctx, group))
	again := must(admin.DescribeGroups(ctx, group))[group]
	fmt.Println("offsets set to", at.At, "; deleted:", !there, "; group deleted:", gone.Err == nil, "and is", again.State)
	deleted := must(admin.DeleteTopic(ctx, name))
	check(deleted.Err)
	_, err := admin.DeleteTopic(ctx, name)
	fmt.Println("topic deleted; again:", err)
}
