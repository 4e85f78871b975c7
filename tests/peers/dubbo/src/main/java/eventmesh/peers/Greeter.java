package eventmesh.peers;

import java.util.List;
import java.util.Map;

/** What is called. */
public interface Greeter {
    /** Answers "hello NAME from GROUP", sleeps on "sleep MS", throws on "fail". */
    String greet(String name);

    /** Takes arguments that must be walked through to find what stands behind them. */
    String describe(Map<String, List<Integer>> numbers, byte[] bytes, Person person);
}
