package example;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Standard output in UTF-8, each piece at once: a stream that is kept in a buffer is none. */
final class Terminal {
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private Terminal() {}

    static void show(String text) {
        OUT.print(text);
        OUT.flush();
    }
}
