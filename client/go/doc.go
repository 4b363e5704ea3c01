// Package sakuga is the client of Sakuga: anime pictures from structured prompts, over gRPC.
//
//	client, err := sakuga.New("http://127.0.0.1:50051")
//	job, err := client.Generate(ctx, sakuga.Request("1girl, solo, blue_hair"))
//	pictures, err := job.Pictures()
//
// The packages generation/v1, model/v1, prompt/v1 and system/v1 are generated from the protos.
package sakuga
