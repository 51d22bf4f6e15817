// What a chat's page does with chat_server.mjs (chat_page.html is one); here the page is the terminal.
//
//     node chat_page.mjs http://127.0.0.1:3000/chat "你好"          a third argument stops after so many pieces

const [, , address = "http://127.0.0.1:3000/chat", question = "讲一个关于鱼的故事 🐟", enough = "0"] = process.argv;

// A page that is drawn anew for every piece is slow: what has come is shown together, every 50 ms.
let unshown = "";
let timer = null;

function show() {
  process.stdout.write(unshown);
  unshown = "";
  timer = null;
}

function append(content) {
  unshown += content;
  timer ??= setTimeout(show, 50);
}

async function ask(messages) {
  const leaving = new AbortController();
  const response = await fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ messages }),
    signal: leaving.signal,
  });
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let pieces = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return "cut off";
    rest += decoder.decode(value, { stream: true });
    const events = rest.split("\n\n");
    rest = events.pop(); // the last one is not whole yet
    for (const event of events) {
      if (!event.startsWith("data: ")) continue;
      const data = event.slice("data: ".length);
      if (data === "[DONE]") return "done";
      const { content, error } = JSON.parse(data);
      if (error) return `error: ${error}`;
      append(content);
      pieces += 1;
      if (pieces === Number(enough)) {
        leaving.abort();
        return `left after ${pieces} pieces`;
      }
    }
  }
}

const end = await ask([{ role: "user", content: question }]);
clearTimeout(timer);
show();
console.log(`\n[${end}]`);
