package eventmesh.peers;

import org.apache.dubbo.common.stream.StreamObserver;

/** What is called over Triple: one answer, many answers, many both ways. */
public interface Talker {
    /** Answers "hello NAME from GROUP"; throws on "fail". */
    String greet(String name);

    /** Answers "1" to "COUNT", one by one. */
    void count(String count, StreamObserver<String> numbers);

    /** Answers each text with itself and the group. */
    StreamObserver<String> echo(StreamObserver<String> echoes);
}
