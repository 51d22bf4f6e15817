// Ark's Go SDK: shows the thinking and the answer while they are made, then the tokens.
//
//	go run ./stream "What lives in a river?"
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/volcengine/volcengine-go-sdk/service/arkruntime"
	"github.com/volcengine/volcengine-go-sdk/service/arkruntime/model"
	"github.com/volcengine/volcengine-go-sdk/volcengine"
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
	stream, err := client.CreateChatCompletionStream(context.Background(), model.CreateChatCompletionRequest{
		Model: setting("MODEL", "sim/reasoning"),
		Messages: []*model.ChatCompletionMessage{{
			Role:    model.ChatMessageRoleUser,
			Content: &model.ChatCompletionMessageContent{StringValue: volcengine.String(question)},
		}},
		StreamOptions: &model.StreamOptions{IncludeUsage: true},
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if chunk.Usage != nil {
			fmt.Printf("\n[tokens: %d in, %d out]\n", chunk.Usage.PromptTokens, chunk.Usage.CompletionTokens)
		}
		// The chunk with the tokens has no choice.
		for _, choice := range chunk.Choices {
			if choice.Delta.ReasoningContent != nil {
				fmt.Fprint(os.Stderr, *choice.Delta.ReasoningContent)
			}
			fmt.Print(choice.Delta.Content)
		}
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
