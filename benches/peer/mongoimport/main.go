// What mongoimport does with JSON Lines, by the same driver: decoding workers read extended JSON, inserting workers send unordered
// batches of 1,000. Its own module is not served by the Go proxy; where a mongoimport is on PATH, the bench takes that.
//
// usage: mongoimport -uri URI -db DATABASE -collection COLLECTION -file FILE.jsonl -workers COUNT
package main

import (
	"bufio"
	"context"
	"flag"
	"log"
	"os"
	"runtime"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const batchCount = 1000

func main() {
	uri := flag.String("uri", "", "address of the server")
	database := flag.String("db", "", "database")
	collection := flag.String("collection", "", "collection")
	path := flag.String("file", "", "file of JSON Lines")
	workers := flag.Int("workers", 1, "inserting workers")
	flag.Parse()
	file, err := os.Open(*path)
	if err != nil {
		log.Fatal(err)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(*uri))
	if err != nil {
		log.Fatal(err)
	}
	target := client.Database(*database).Collection(*collection)
	lines := make(chan []byte, 10_000)
	documents := make(chan bson.D, 10_000)
	var decoding, inserting sync.WaitGroup
	for range runtime.NumCPU() {
		decoding.Go(func() {
			for line := range lines {
				var document bson.D
				if err := bson.UnmarshalExtJSON(line, false, &document); err != nil {
					log.Fatal(err)
				}
				documents <- document
			}
		})
	}
	for range *workers {
		inserting.Go(func() { insert(target, documents) })
	}
	scanner := bufio.NewScanner(file)
	scanner.Buffer(make([]byte, 1<<20), 16<<20)
	for scanner.Scan() {
		lines <- append([]byte(nil), scanner.Bytes()...)
	}
	if err := scanner.Err(); err != nil {
		log.Fatal(err)
	}
	close(lines)
	decoding.Wait()
	close(documents)
	inserting.Wait()
}

func insert(target *mongo.Collection, documents <-chan bson.D) {
	batch := make([]mongo.WriteModel, 0, batchCount)
	send := func() {
		if len(batch) == 0 {
			return
		}
		if _, err := target.BulkWrite(context.Background(), batch, options.BulkWrite().SetOrdered(false)); err != nil {
			log.Fatal(err)
		}
		batch = batch[:0]
	}
	for document := range documents {
		batch = append(batch, mongo.NewInsertOneModel().SetDocument(document))
		if len(batch) == batchCount {
			send()
		}
	}
	send()
}
