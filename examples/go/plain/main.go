// Ark's Go SDK at its plainest, as Ark's own pages teach it: the first choice of every chunk, without a look at it.
//
//	go run ./plain
package main

import (
	"context"
	"fmt"
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

func main() {
	client := arkruntime.NewClientWithApiKey(
		setting("API_KEY", "any"),
		arkruntime.WithBaseUrl(setting("BASE_URL", "http://127.0.0.1:8080/api/v3")),
	)
	stream, err := client.CreateChatCompletionStream(context.Background(), model.CreateChatCompletionRequest{
		Model: setting("MODEL", "sim/text"),
		Messages: []*model.ChatCompletionMessage{{
			Role:    model.ChatMessageRoleUser,
			Content: &model.ChatCompletionMessageContent{StringValue: volcengine.String("水边有哪些植物？🌿")},
		}},
		Stream: volcengine.Bool(true),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	defer stream.Close()
	for {
		chunk, err := stream.Recv()
		if err != nil {
			fmt.Printf("\n[ended: %v]\n", err)
			return
		}
		fmt.Print(chunk.Choices[0].Delta.Content)
	}
}
