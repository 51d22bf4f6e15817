// Ark's Go SDK and its Responses API: shows the answer while it is made, then the tokens.
//
//	go run ./responses "What lives in a river?"
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/volcengine/volcengine-go-sdk/service/arkruntime"
	"github.com/volcengine/volcengine-go-sdk/service/arkruntime/model/responses"
)

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func run() error {
	question := "水边长什么植物？🌿"
	if len(os.Args) > 1 {
		question = os.Args[1]
	}
	client := arkruntime.NewClientWithApiKey(
		setting("API_KEY", "any"),
		arkruntime.WithBaseUrl(setting("BASE_URL", "http://127.0.0.1:8080/api/v3")),
	)
	stream, err := client.CreateResponsesStream(context.Background(), &responses.ResponsesRequest{
		Model: setting("MODEL", "sim/text"),
		Input: &responses.ResponsesInput{Union: &responses.ResponsesInput_StringValue{StringValue: question}},
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) || event == nil && err == nil {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case event.GetError() != nil:
			return errors.New(event.GetError().GetMessage())
		case event.GetText() != nil:
			fmt.Print(event.GetText().GetDelta())
		case event.GetResponseCompleted() != nil:
			usage := event.GetResponseCompleted().GetResponse().GetUsage()
			fmt.Printf("\n[tokens: %d in, %d out]\n", usage.GetInputTokens(), usage.GetOutputTokens())
		}
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
