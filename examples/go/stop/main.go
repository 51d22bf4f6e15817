// Ark's Go SDK: stops in the middle. Whoever cancels the context closes the connection, and the upstream is released.
//
//	go run ./stop
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/volcengine/volcengine-go-sdk/service/arkruntime"
	"github.com/volcengine/volcengine-go-sdk/service/arkruntime/model"
	"github.com/volcengine/volcengine-go-sdk/volcengine"
)

const enough = 5

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func run() error {
	client := arkruntime.NewClientWithApiKey(
		setting("API_KEY", "any"),
		arkruntime.WithBaseUrl(setting("BASE_URL", "http://127.0.0.1:8080/api/v3")),
	)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := client.CreateChatCompletionStream(ctx, model.CreateChatCompletionRequest{
		Model: setting("MODEL", "sim/slow"),
		Messages: []*model.ChatCompletionMessage{{
			Role:    model.ChatMessageRoleUser,
			Content: &model.ChatCompletionMessageContent{StringValue: volcengine.String("讲一条长河的故事")},
		}},
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	for pieces := 0; pieces < enough; {
		chunk, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, choice := range chunk.Choices {
			if choice.Delta.Content != "" {
				fmt.Print(choice.Delta.Content)
				pieces++
			}
		}
	}
	fmt.Printf("\n[stopped after %d pieces]\n", enough)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
